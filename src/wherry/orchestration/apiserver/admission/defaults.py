"""Small plugins that fill in what depends on other objects or on the caller.

DefaultStorageClass, DefaultIngressClass, StorageObjectInUseProtection, TaintNodesByCondition, PersistentVolumeClaimResize.
"""

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import (
    CLAIM_PLACE,
    CREATE,
    ITSELF,
    UPDATE,
    AdmissionRequest,
    Place,
    Plugin,
)
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.kinds import INGRESS_CLASSES, STORAGE_CLASSES
from wherry.orchestration.objects.meta import Object, annotations_of, name_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import (
    ANNOTATION_INGRESS_CLASS,
    ANNOTATION_IS_DEFAULT_INGRESS_CLASS,
    BETA_IS_DEFAULT_STORAGE_CLASS_ANNOTATION,
    BETA_STORAGE_CLASS_ANNOTATION,
    IS_DEFAULT_STORAGE_CLASS_ANNOTATION,
    PV_PROTECTION_FINALIZER,
    PVC_PROTECTION_FINALIZER,
    TAINT_NODE_NOT_READY,
)

INGRESS_PLACE: Place = ("networking.k8s.io", "ingresses")
PROTECTION: dict[Place, str] = {
    CLAIM_PLACE: PVC_PROTECTION_FINALIZER, ("", "persistentvolumes"): PV_PROTECTION_FINALIZER}
NOT_READY = {"key": TAINT_NODE_NOT_READY, "effect": "NoSchedule"}


def newest_default(source: ObjectSource, resource: Resource, *annotations: str) -> Object | None:
    """The class marked as default; of several the newest, then the first by name."""
    marked = [c for c in source.list(resource) if any(annotations_of(c).get(a) == "true" for a in annotations)]
    marked.sort(key=name_of)
    return max(marked, key=lambda c: str(c["metadata"].get("creationTimestamp", "")), default=None)


class DefaultClasses(Plugin):
    """Claims without a class get the default StorageClass, Ingresses the default IngressClass."""

    places = frozenset({CLAIM_PLACE, INGRESS_PLACE})
    operations = frozenset({CREATE})
    subresources = ITSELF

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def admit(self, request: AdmissionRequest) -> None:
        spec = request.new.get("spec")
        if not isinstance(spec, dict):
            return
        if request.place == CLAIM_PLACE:
            has_own = spec.get("storageClassName") is not None or BETA_STORAGE_CLASS_ANNOTATION in annotations_of(request.new)
            if not has_own:
                found = newest_default(
                    self._source, STORAGE_CLASSES, IS_DEFAULT_STORAGE_CLASS_ANNOTATION, BETA_IS_DEFAULT_STORAGE_CLASS_ANNOTATION)
                if found is not None:
                    spec["storageClassName"] = name_of(found)
        else:
            has_own = spec.get("ingressClassName") is not None or ANNOTATION_INGRESS_CLASS in annotations_of(request.new)
            found = None if has_own else newest_default(self._source, INGRESS_CLASSES, ANNOTATION_IS_DEFAULT_INGRESS_CLASS)
            if found is not None:
                spec["ingressClassName"] = name_of(found)


class StorageProtection(Plugin):
    """Volumes and claims in use are not deleted: their finalizers are set from the start."""

    places = PROTECTION.keys()
    operations = frozenset({CREATE})
    subresources = ITSELF

    async def admit(self, request: AdmissionRequest) -> None:
        finalizer = PROTECTION[request.place]
        finalizers = request.new["metadata"].setdefault("finalizers", [])
        if finalizer not in finalizers:
            finalizers.append(finalizer)


class ClaimResize(Plugin):
    """A claim grows only when its class allows it."""

    places = frozenset({CLAIM_PLACE})
    operations = frozenset({UPDATE})
    subresources = ITSELF

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def validate(self, request: AdmissionRequest) -> None:
        assert request.old is not None
        new, old = _requested(request.new), _requested(request.old)
        if new is None or old is None or quantity.milli(new) <= quantity.milli(old):
            return
        if request.old.get("status", {}).get("phase") != "Bound":
            raise errors.forbidden(request.resource, request.name, "Only bound persistent volume claims can be expanded")
        found = self._source.get(STORAGE_CLASSES, "", request.old["spec"].get("storageClassName") or "")
        if found is None or not found.get("allowVolumeExpansion"):
            raise errors.forbidden(
                request.resource, request.name, "only dynamically provisioned pvc can be resized and the storageclass that "
                "provisions the pvc must support resize")


def _requested(claim: Object) -> str | None:
    amount = ((claim.get("spec", {}).get("resources") or {}).get("requests") or {}).get("storage")
    return None if amount is None else str(amount)


class TaintNewNodes(Plugin):
    """A node takes no Pods before the node controller has seen it ready."""

    places = frozenset({("", "nodes")})
    operations = frozenset({CREATE})

    async def admit(self, request: AdmissionRequest) -> None:
        taints = request.new.setdefault("spec", {}).setdefault("taints", [])
        if not any(t.get("key") == NOT_READY["key"] and t.get("effect") == NOT_READY["effect"] for t in taints):
            taints.append(dict(NOT_READY))
