"""Which built-in kind has which write rules.

Spec:  upstream pkg/registry/*/strategy.go, kind by kind.
"""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from wherry.orchestration.apiserver.strategies.claims import ClaimStrategy
from wherry.orchestration.apiserver.strategies.daemonsets import DaemonSetStrategy
from wherry.orchestration.apiserver.strategies.jobs import JobStrategy
from wherry.orchestration.apiserver.strategies.pods import PodStrategy
from wherry.orchestration.apiserver.strategies.services import ServiceStrategy
from wherry.orchestration.apiserver.strategies.strategy import Strategy, keep
from wherry.orchestration.apiserver.strategies.volumes import VolumeStrategy
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import LABEL_METADATA_NAME

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_TRACKS_GENERATION = {
    ("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"),
    ("", "replicationcontrollers"), ("batch", "jobs"), ("batch", "cronjobs"), ("networking.k8s.io", "ingresses"),
    ("networking.k8s.io", "ingressclasses"), ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"), ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"), ("", "podtemplates"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"), ("discovery.k8s.io", "endpointslices"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"), ("resource.k8s.io", "resourceslices"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"), ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    ("storage.k8s.io", "csidrivers"), ("resource.k8s.io", "deviceclasses"), ("resource.k8s.io", "devicetaintrules"),
}
_CREATES_ON_UPDATE = {
    ("", "endpoints"), ("", "events"), ("events.k8s.io", "events"), ("", "limitranges"), ("", "services"),
    ("coordination.k8s.io", "leases"), ("rbac.authorization.k8s.io", "roles"), ("node.k8s.io", "runtimeclasses"),
    ("rbac.authorization.k8s.io", "rolebindings"), ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
}
_NEEDS_REVISION = {
    ("apiregistration.k8s.io", "apiservices"), ("coordination.k8s.io", "leases"), ("policy", "poddisruptionbudgets"),
    ("apiextensions.k8s.io", "customresourcedefinitions"), ("node.k8s.io", "runtimeclasses"),
    ("discovery.k8s.io", "endpointslices"), ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "csistoragecapacities"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
}
_INITIAL_STATUS: dict[tuple[str, str], Object] = {
    ("", "namespaces"): {"phase": "Active"},
    ("apps", "replicasets"): {"replicas": 0},
    ("", "replicationcontrollers"): {"replicas": 0},
    ("apps", "statefulsets"): {"replicas": 0, "availableReplicas": 0},
    ("networking.k8s.io", "ingresses"): {"loadBalancer": {}},
    ("policy", "poddisruptionbudgets"): {
        "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
}


def strategy_for(resource: Resource) -> Strategy:
    """The rules of a built-in resource."""
    place = (resource.group, resource.plural)
    special = _SPECIAL.get(place)
    return special() if special else Strategy(**_options(place, "status" in resource.subresources))


def _options(place: tuple[str, str], has_status: bool) -> dict[str, Any]:
    return {
        "has_status": has_status,
        "tracks_generation": place in _TRACKS_GENERATION,
        "initial_status": _INITIAL_STATUS.get(place, {} if has_status else None),
        "creates_on_update": place in _CREATES_ON_UPDATE,
        "takes_unconditional_update": place not in _NEEDS_REVISION,
        "generation_follows_annotations": place == ("apps", "deployments"),
    }


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


_SPECIAL: dict[tuple[str, str], Callable[[], Strategy]] = {
    ("", "pods"): PodStrategy,
    ("", "services"): ServiceStrategy,
    ("", "namespaces"): NamespaceStrategy,
    ("", "secrets"): SecretStrategy,
    ("", "nodes"): NodeStrategy,
    ("", "persistentvolumeclaims"): ClaimStrategy,
    ("", "persistentvolumes"): VolumeStrategy,
    ("apps", "daemonsets"): DaemonSetStrategy,
    ("batch", "jobs"): JobStrategy,
    ("certificates.k8s.io", "certificatesigningrequests"): lambda: CertificateRequestStrategy(
        has_status=True, initial_status={}),
    ("apiextensions.k8s.io", "customresourcedefinitions"): DefinitionStrategy,
}
