"""What API objects a Pod makes its node read: the question that decides what a node may say of itself.

In:    a Pod as it is on the wire.
Out:   the first reference as a word for a message, "" when there is none; the audiences and signers its volumes ask for.
Spec:  upstream pkg/api/pod HasAPIObjectReference; KEP-4935 (audiences of a node's token requests).
Never: follows a reference.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wherry.orchestration.objects.meta import Object

# Volumes that name nothing in the API. A list of what is allowed: a kind of volume that comes later is refused until known.
PLAIN_VOLUMES = frozenset({"name", "emptyDir", "hostPath", "downwardAPI", "image", "nfs"})
CONTAINER_FIELDS = ("initContainers", "containers", "ephemeralContainers")


def first_reference(pod: Object) -> str:
    """The plural of an API object that `pod` names, "" when it names none."""
    return next(_references(pod.get("spec") or {}), "")


def _references(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("serviceAccountName") or spec.get("serviceAccount"):
        yield "serviceaccounts"
    if spec.get("imagePullSecrets"):
        yield "secrets"
    if spec.get("resourceClaims"):
        yield "resourceclaims"
    for field in CONTAINER_FIELDS:
        for container in spec.get(field) or ():
            yield from _of_environment(container)
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume)


def _of_environment(container: Mapping[str, Any]) -> Iterator[str]:
    sources = [*(container.get("envFrom") or ()), *((e.get("valueFrom") or {}) for e in container.get("env") or ())]
    for source in sources:
        if source.get("secretRef") or source.get("secretKeyRef"):
            yield "secrets"
        if source.get("configMapRef") or source.get("configMapKeyRef"):
            yield "configmaps"


def _of_volume(volume: Mapping[str, Any]) -> Iterator[str]:
    for kind, source in volume.items():
        if kind == "secret":
            yield "secrets"
        elif kind == "configMap":
            yield "configmaps"
        elif kind in ("persistentVolumeClaim", "ephemeral"):
            yield "persistentvolumeclaims"
        elif kind == "projected":
            yield from _of_projection(source or {})
        elif kind not in PLAIN_VOLUMES:
            yield f"volumes of kind {kind}"


def _of_projection(projected: Mapping[str, Any]) -> Iterator[str]:
    names = {"secret": "secrets", "configMap": "configmaps", "serviceAccountToken": "serviceaccounts",
             "clusterTrustBundle": "clustertrustbundles"}
    for source in projected.get("sources") or ():
        for kind in source:
            if kind != "downwardAPI":
                yield names.get(kind, f"projections of kind {kind}")


def token_audiences(pod: Object) -> frozenset[str]:
    """The audiences of the projected tokens of `pod`; "" is the API server's own."""
    return frozenset(str(source["serviceAccountToken"].get("audience") or "") for source in _projections(pod)
                     if source.get("serviceAccountToken"))


def certificate_signers(pod: Object) -> frozenset[str]:
    """The signers of the projected certificates of `pod`."""
    return frozenset(str(source["podCertificate"].get("signerName") or "") for source in _projections(pod)
                     if source.get("podCertificate"))


def _projections(pod: Object) -> Iterator[Mapping[str, Any]]:
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        yield from (volume.get("projected") or {}).get("sources") or ()


def drivers_of(pod: Object) -> Iterator[tuple[str, str]]:
    """("driver", name) of inline CSI volumes and ("claim", name) of claims, whose drivers may want tokens too."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume.get("csi"):
            yield "driver", str(volume["csi"].get("driver", ""))
        if volume.get("persistentVolumeClaim"):
            yield "claim", str(volume["persistentVolumeClaim"].get("claimName", ""))
        if volume.get("ephemeral"):
            yield "claim", f"{pod['metadata'].get('name', '')}-{volume.get('name', '')}"
