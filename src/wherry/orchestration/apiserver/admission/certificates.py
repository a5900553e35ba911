"""Who may approve, sign and vouch for certificates: the right to the subresource is not enough, the signer's is needed too.

CertificateApproval, CertificateSigning, ClusterTrustBundleAttest, CertificateSubjectRestriction, and the fields of a
request that say who asked.

In:    certificate signing requests, pod certificate requests and trust bundles; the authorizers.
Out:   `ApiError` 403 in upstream's words.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
       upstream plugin/pkg/admission/certificates
"""

import base64
import binascii

from cryptography import x509
from cryptography.x509.oid import NameOID

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, ITSELF, UPDATE, WRITES, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.auth.authorizer import Authorizer
from wherry.orchestration.apiserver.auth.signers import CERTIFICATES_GROUP, may_act_for
from wherry.orchestration.apiserver.user import MASTERS
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.well_known import KUBE_API_SERVER_CLIENT_SIGNER_NAME

REQUESTS = (CERTIFICATES_GROUP, "certificatesigningrequests")
POD_REQUESTS = (CERTIFICATES_GROUP, "podcertificaterequests")
TRUST_BUNDLES = (CERTIFICATES_GROUP, "clustertrustbundles")
# What only a signer writes: a change of one of these is an act of signing.
SIGNED_FIELDS = {
    REQUESTS: ("certificate", "conditions"),
    POD_REQUESTS: ("certificateChain", "notBefore", "notAfter", "beginRefreshAt", "conditions"),
}
COLLECTION_FIELDS = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")


class CertificateIdentity(Plugin):
    """A certificate signing request says who asked; the caller cannot choose that."""

    places = frozenset({REQUESTS})
    operations = frozenset({CREATE})

    async def admit(self, request: AdmissionRequest) -> None:
        spec = request.new.setdefault("spec", {})
        user = request.user
        spec["username"] = user.name
        spec["groups"] = list(user.groups)
        for name, value in (("uid", user.uid), ("extra", {k: list(v) for k, v in user.extra.items()})):
            if value:
                spec[name] = value
            else:
                spec.pop(name, None)


class CertificateApproval(Plugin):
    """Whoever approves or denies holds `approve` on the signer."""

    places = frozenset({REQUESTS})
    operations = frozenset({UPDATE})
    subresources = frozenset({"approval"})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, request: AdmissionRequest) -> None:
        signer = _signer_of(request.old)
        if not may_act_for(self._authorizer, request.user, "approve", signer):
            raise _refuse(request, f'user not permitted to approve requests with signerName "{signer}"')


class CertificateSigning(Plugin):
    """Whoever writes a certificate or the conditions of a request holds `sign` on the signer."""

    places = frozenset({REQUESTS, POD_REQUESTS})
    operations = frozenset({UPDATE})
    subresources = frozenset({"status"})

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, request: AdmissionRequest) -> None:
        new, old = _status_of(request.obj), _status_of(request.old)
        if all((new.get(field) or None) == (old.get(field) or None) for field in SIGNED_FIELDS[request.place]):
            return
        signer = _signer_of(request.old)
        if not may_act_for(self._authorizer, request.user, "sign", signer):
            raise _refuse(request, f'user not permitted to sign requests with signerName "{signer}"')


class ClusterTrustBundleAttest(Plugin):
    """Whoever writes a trust bundle of a signer holds `attest` on it."""

    places = frozenset({TRUST_BUNDLES})
    operations = WRITES

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def validate(self, request: AdmissionRequest) -> None:
        signer = _signer_of(request.obj)
        if not signer or _without_collection(request.obj) == _without_collection(request.old):
            return
        if not may_act_for(self._authorizer, request.user, "attest", signer):
            raise _refuse(request, f'user not permitted to attest for signerName "{signer}"')


class CertificateSubjectRestriction(Plugin):
    """Nobody gets a client certificate of the group that is allowed everything."""

    places = frozenset({REQUESTS})
    operations = frozenset({CREATE})
    subresources = ITSELF

    async def validate(self, request: AdmissionRequest) -> None:
        if _signer_of(request.obj) != KUBE_API_SERVER_CLIENT_SIGNER_NAME:
            return
        try:
            subject = subject_of(request.new)
        except ValueError as error:
            raise _refuse(request, f"failed to parse CSR: {error}") from error
        if MASTERS in (part.value for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)):
            raise _refuse(request, f"use of {KUBE_API_SERVER_CLIENT_SIGNER_NAME} signer with {MASTERS} group is not allowed")


def subject_of(signing_request: Object) -> x509.Name:
    """The subject that `spec.request` (base64 of PEM) asks for; `ValueError` where it is none."""
    try:
        return x509.load_pem_x509_csr(base64.b64decode(_spec_of(signing_request).get("request") or "")).subject
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _without_collection(bundle: Object | None) -> Object:
    """Labels count: pods choose their bundles by them. What the garbage collector writes does not."""
    metadata = {key: value for key, value in ((bundle or {}).get("metadata") or {}).items() if key not in COLLECTION_FIELDS}
    return {**(bundle or {}), "metadata": metadata}


def _signer_of(obj: Object | None) -> str:
    return str(_spec_of(obj).get("signerName") or "")


def _spec_of(obj: Object | None) -> Object:
    return (obj or {}).get("spec") or {}


def _status_of(obj: Object | None) -> Object:
    return (obj or {}).get("status") or {}


def _refuse(request: AdmissionRequest, why: str) -> errors.ApiError:
    return errors.forbidden(request.resource, request.name, why)
