"""Write rules of kinds that need a few lines each.

Spec:  upstream pkg/registry/*/strategy.go, kind by kind.
"""

from base64 import b64encode

from wherry.orchestration.apiserver.strategies.strategy import Strategy, keep
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.well_known import LABEL_METADATA_NAME

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class NamespaceStrategy(Strategy):
    """Namespaces carry the `kubernetes` finalizer in their spec; only /finalize takes it away."""

    def __init__(self) -> None:
        super().__init__(has_status=True, initial_status={"phase": "Active"})

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        spec = obj.setdefault("spec", {})
        finalizers = spec.setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")
        obj["metadata"].setdefault("labels", {})[LABEL_METADATA_NAME] = obj["metadata"]["name"]

    def prepare_update(self, obj: Object, old: Object) -> None:
        super().prepare_update(obj, old)
        obj.setdefault("spec", {})
        keep(obj["spec"], old.get("spec", {}), "finalizers")
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = labels | {LABEL_METADATA_NAME: obj["metadata"]["name"]}

    def on_delete(self, obj: Object) -> None:
        obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}


class SecretStrategy(Strategy):
    """`stringData` is written, never read: it goes into `data`."""

    def prepare_create(self, obj: Object) -> None:
        _fold_string_data(obj)

    def prepare_update(self, obj: Object, old: Object) -> None:
        _fold_string_data(obj)
        obj.setdefault("type", old.get("type", "Opaque"))


def _fold_string_data(obj: Object) -> None:
    plain = obj.pop("stringData", None)
    if plain:
        encoded = {key: b64encode(value.encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


class CertificateRequestStrategy(Strategy):
    """Who asks is taken from the request (admission fills it in); the spec never changes; /approval sets conditions."""

    def __init__(self) -> None:
        super().__init__(has_status=True, initial_status={})

    def prepare_update(self, obj: Object, old: Object) -> None:
        super().prepare_update(obj, old)
        keep(obj, old, "spec")

    def prepare_status(self, obj: Object, old: Object) -> None:
        super().prepare_status(obj, old)
        decided = ("Approved", "Denied")
        conditions = [c for c in obj.get("status", {}).get("conditions") or () if c.get("type") not in decided]
        kept = [c for c in old.get("status", {}).get("conditions") or () if c.get("type") in decided]
        if kept or conditions:
            obj.setdefault("status", {})["conditions"] = [*kept, *conditions]


class NodeStrategy(Strategy):
    """A node registers with its status."""

    def __init__(self) -> None:
        super().__init__(has_status=True, keeps_status_on_create=True)


class DefinitionStrategy(Strategy):
    """CustomResourceDefinitions start with no conditions; the definition loop fills them in."""

    def __init__(self) -> None:
        super().__init__(has_status=True, tracks_generation=True, takes_unconditional_update=False)

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        versions = obj.get("spec", {}).get("versions") or ()
        stored = [v["name"] for v in versions if isinstance(v, dict) and v.get("storage") and "name" in v]
        obj["status"] = {"acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}

    def prepare_update(self, obj: Object, old: Object) -> None:
        super().prepare_update(obj, old)
        status = dict(obj.get("status") or {})
        stored = list(status.get("storedVersions") or ())
        for version in obj.get("spec", {}).get("versions") or ():
            if version.get("storage") and version.get("name") not in stored:
                stored.append(version["name"])
        obj["status"] = {**status, "storedVersions": stored}

    def delete_finalizers(self) -> tuple[str, ...]:
        return (CLEANUP_FINALIZER,)

    def on_delete(self, obj: Object) -> None:
        condition = {"type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
                     "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
                     "lastTransitionTime": obj["metadata"]["deletionTimestamp"]}
        status = obj.setdefault("status", {})
        status["conditions"] = [*(status.get("conditions") or ()), condition]
