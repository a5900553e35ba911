"""What a node may ask for in the name of a pod: a token, a certificate. The pod runs there, and uses what is asked for.

In:    requests of a node; pods, claims, volumes, drivers and accounts through the `ObjectSource`; the authorizers.
Out:   `ApiError` 403 for what is not that pod's, 409 or 404 for a pod that is not this one.
Spec:  upstream plugin/pkg/admission/noderestriction; KEP-4935 (audiences), KEP-4317 (pod certificates).
Stricter: the signer of a pod certificate is one that a projected volume of the pod names.
"""

from collections.abc import Iterator

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, AdmissionRequest
from wherry.orchestration.apiserver.admission.pod_references import certificate_signers, drivers_of, token_audiences
from wherry.orchestration.apiserver.auth.authorizer import Attributes, Authorizer
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import (
    CSI_DRIVERS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICE_ACCOUNTS,
)
from wherry.orchestration.objects.meta import Object, annotations_of, uid_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import MIRROR_POD_ANNOTATION_KEY

AUDIENCE_VERB = "request-serviceaccounts-token-audience"


class PodIdentities:
    """See the module docstring."""

    def __init__(self, source: ObjectSource, authorizer: Authorizer) -> None:
        self._source = source
        self._authorizer = authorizer

    def check_token(self, request: AdmissionRequest, node: str) -> None:
        """A TokenRequest is bound to a pod of `node`; its audience is that pod's, or allowed by a rule."""
        if request.operation != CREATE or request.subresource != "token" or request.obj is None:
            return
        spec = request.obj.get("spec") or {}
        bound = spec.get("boundObjectRef") or {}
        if (bound.get("apiVersion"), bound.get("kind")) != ("v1", "Pod") or not bound.get("name"):
            raise _refuse(request, "node requested token not bound to a pod")
        if not bound.get("uid"):
            raise _refuse(request, "node requested token with a pod binding without a uid")
        pod = self._require(PODS, request.namespace, bound["name"], bound["uid"])
        if pod["spec"].get("nodeName") != node:
            raise _refuse(request, "node requested token bound to a pod scheduled on a different node")
        audiences = spec.get("audiences") or [""]
        if len(audiences) > 1:
            raise _refuse(request, "node may only request 0 or 1 audiences")
        audience = audiences[0]
        if audience in token_audiences(pod) or audience in self._driver_audiences(pod, request.namespace):
            return
        question = Attributes(
            request.user, AUDIENCE_VERB, version="v1", resource=audience, namespace=request.namespace, name=request.name)
        if not self._authorizer.authorize(question).allowed:
            raise _refuse(request, f'audience "{audience}" not found in pod spec volume, {request.user.name} is not '
                          "authorized to request tokens for this audience")

    def check_certificate(self, request: AdmissionRequest, node: str) -> None:
        """A PodCertificateRequest names `node`, a pod of it and that pod's account, each as it is now."""
        if request.operation != CREATE or request.subresource or request.obj is None:
            raise _refuse(request, f'node "{node}" may only create requests')
        spec = request.obj.get("spec") or {}
        if spec.get("nodeName") != node:
            raise _refuse(request, f'PodCertificateRequest.Spec.NodeName="{spec.get("nodeName", "")}", which is not the '
                          f'requesting node "{node}"')
        self._require(NODES, "", node, spec.get("nodeUID"))
        pod = self._require(PODS, request.namespace, str(spec.get("podName") or ""), spec.get("podUID"))
        told = f'pod "{request.namespace}/{spec["podName"]}"'
        if pod["spec"].get("nodeName") != node:
            raise _refuse(request, f'{told} is not running on node "{node}" named in the PodCertificateRequest')
        if MIRROR_POD_ANNOTATION_KEY in annotations_of(pod):
            raise _refuse(request, f"{told} is a mirror pod")
        account = str(pod["spec"].get("serviceAccountName") or "")
        if spec.get("serviceAccountName") != account:
            raise _refuse(request, f'PodCertificateRequest for {told} contains serviceAccountName '
                          f'("{spec.get("serviceAccountName", "")}") that differs from running pod ("{account}")')
        self._require(SERVICE_ACCOUNTS, request.namespace, account, spec.get("serviceAccountUID"))
        if spec.get("signerName") not in certificate_signers(pod):
            raise _refuse(request, f'signerName "{spec.get("signerName", "")}" not found in a projected volume of {told}')

    def _require(self, resource: Resource, namespace: str, name: str, uid: str | None) -> Object:
        found = self._source.get(resource, namespace, name)
        if found is None:
            raise errors.not_found(resource, name)
        if uid_of(found) != uid:
            raise errors.conflict(resource, name, f"the UID in the bound object reference ({uid or ''}) does not match the "
                                  "UID in record. The object might have been deleted and then recreated")
        return found

    def _driver_audiences(self, pod: Object, namespace: str) -> Iterator[str]:
        for kind, name in drivers_of(pod):
            driver = name if kind == "driver" else self._driver_of_claim(namespace, name)
            found = self._source.get(CSI_DRIVERS, "", driver) if driver else None
            for wanted in ((found or {}).get("spec") or {}).get("tokenRequests") or ():
                yield str(wanted.get("audience") or "")

    def _driver_of_claim(self, namespace: str, name: str) -> str:
        claim = self._source.get(PERSISTENT_VOLUME_CLAIMS, namespace, name) or {}
        volume_name = (claim.get("spec") or {}).get("volumeName")
        volume = (self._source.get(PERSISTENT_VOLUMES, "", volume_name) if volume_name else None) or {}
        return str(((volume.get("spec") or {}).get("csi") or {}).get("driver", ""))


def _refuse(request: AdmissionRequest, why: str) -> errors.ApiError:
    return errors.forbidden(request.resource, request.name, why)
