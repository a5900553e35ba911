"""What a CertificateSigningRequest asks for: pure.

In:    the object. Out: `Asked`; `Invalid` when its PKCS #10 part cannot be read.
"""

import base64
import binascii
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.meta import Object

LEGACY = "kubernetes.io/legacy-unknown"
DIGITAL_SIGNATURE, KEY_ENCIPHERMENT = "digital signature", "key encipherment"
CLIENT_AUTH, SERVER_AUTH = "client auth", "server auth"
NODES, NODE_PREFIX = "system:nodes", "system:node:"


@dataclass(frozen=True, slots=True)
class Asked:
    """The subject, the alternative names by kind, the usages; who asks is the API server's word, not the request's."""

    username: str
    signer: str
    usages: frozenset[str]
    pem: bytes
    common_name: str
    organizations: tuple[str, ...]
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def read(csr: Object) -> Asked:
    """Raise `Invalid` when spec.request is no PKCS #10 request in PEM."""
    spec = csr.get("spec") or {}
    try:
        pem = base64.b64decode(spec.get("request") or "", validate=True)
        request = x509.load_pem_x509_csr(pem)
        subject = request.subject
        names = _alternative_names(request)
    except (ValueError, binascii.Error) as error:
        raise Invalid(f"unable to parse csr {csr['metadata']['name']!r}: {error}") from error
    common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Asked(
        username=str(spec.get("username") or ""),
        signer=str(spec.get("signerName") or ""),
        usages=frozenset(spec.get("usages") or ()),
        pem=pem,
        common_name=str(common[0].value) if common else "",
        organizations=tuple(str(one.value) for one in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)),
        names=tuple(names.get_values_for_type(x509.DNSName)) if names else (),
        addresses=tuple(str(one) for one in names.get_values_for_type(x509.IPAddress)) if names else (),
        emails=tuple(names.get_values_for_type(x509.RFC822Name)) if names else (),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else (),
    )


def _alternative_names(request: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName | None:
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def has_condition(csr: Object, kind: str) -> bool:
    """A condition of that type is there and not False: so upstream reads Approved, Denied and Failed."""
    conditions = (csr.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == kind and one.get("status") != "False" for one in conditions)


def kubelet_client_fault(asked: Asked) -> str:
    """Why this is no certificate of a kubelet for the API; "" when it is one.

    Spec: k8s.io/kubernetes/pkg/apis/certificates ValidateKubeletClientCSR, its texts."""
    return _node_fault(asked) or _first(
        (asked.names, "DNS subjectAltNames are not allowed"),
        (asked.emails, "Email subjectAltNames are not allowed"),
        (asked.addresses, "IP subjectAltNames are not allowed"),
        (asked.uris, "URI subjectAltNames are not allowed"),
    ) or _usages_fault(asked, CLIENT_AUTH)


def kubelet_serving_fault(asked: Asked) -> str:
    """Why this is no serving certificate of a kubelet; "" when it is one. Spec: ValidateKubeletServingCSR, its texts."""
    return _node_fault(asked) or _first(
        (not asked.names and not asked.addresses, "DNS or IP subjectAltName is required"),
        (asked.emails, "Email subjectAltNames are not allowed"),
        (asked.uris, "URI subjectAltNames are not allowed"),
    ) or _usages_fault(asked, SERVER_AUTH)


def _node_fault(asked: Asked) -> str:
    return _first(
        (asked.organizations != (NODES,), "subject organization is not system:nodes"),
        (not asked.common_name.startswith(NODE_PREFIX), "subject common name does not begin with system:node: "),
    )


def _usages_fault(asked: Asked, main: str) -> str:
    wanted = {DIGITAL_SIGNATURE, main}
    if asked.usages in (wanted, wanted | {KEY_ENCIPHERMENT}):
        return ""
    return f"usages did not match [{' '.join(sorted(wanted))}]"


def _first(*faults: tuple[object, str]) -> str:
    return next((text for found, text in faults if found), "")
