"""The fields that field selectors may name, per resource.

Spec:  upstream's `ToSelectableFields` and field label conversions; `metadata.name` and `metadata.namespace` always work.
"""

from collections.abc import Mapping
from sys import intern

from wherry.orchestration.objects.meta import Object

_POD = ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName")
_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

_PATHS: dict[tuple[str, str], dict[str, str]] = {
    ("", "pods"): {p: p for p in _POD},
    ("", "events"): {f"involvedObject.{p}": f"involvedObject.{p}" for p in _REFERENCE}
    | {"reason": "reason", "reportingComponent": "reportingComponent", "source": "source.component", "type": "type"},
    ("events.k8s.io", "events"): {f"regarding.{p}": f"involvedObject.{p}" for p in _REFERENCE}
    | {"reason": "reason", "reportingController": "reportingComponent", "type": "type"},
    ("", "secrets"): {"type": "type"},
    ("", "namespaces"): {"status.phase": "status.phase"},
    ("", "nodes"): {"spec.unschedulable": "spec.unschedulable"},
    ("", "services"): {"spec.clusterIP": "spec.clusterIP", "spec.type": "spec.type"},
    ("", "replicationcontrollers"): {"status.replicas": "status.replicas"},
    ("apps", "replicasets"): {"status.replicas": "status.replicas"},
    ("batch", "jobs"): {"status.successful": "status.succeeded"},
    ("certificates.k8s.io", "certificatesigningrequests"): {"spec.signerName": "spec.signerName"},
    ("certificates.k8s.io", "clustertrustbundles"): {"spec.signerName": "spec.signerName"},
    ("certificates.k8s.io", "podcertificaterequests"): {
        "spec.signerName": "spec.signerName", "spec.nodeName": "spec.nodeName"},
    ("resource.k8s.io", "resourceslices"): {"spec.nodeName": "spec.nodeName", "spec.driver": "spec.driver"},
}
# What a field reads when the object does not have it.
_ABSENT = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.replicas": "0", "status.succeeded": "0"}


class FieldReader:
    """Reads the selectable fields of one resource; `names` are those a selector may use."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = {name: tuple(path.split(".")) for name, path in paths.items()}
        self._absent = {name: _ABSENT.get(path, "") for name, path in paths.items()}
        self.position = {name: place for place, name in enumerate(("metadata.name", "metadata.namespace", *paths))}
        self.names = frozenset(self.position)

    def __call__(self, obj: Object) -> tuple[str, ...]:
        """The values, in the order of `position`; a tuple, because one is kept for each object."""
        metadata = obj["metadata"]
        found = [metadata["name"], metadata.get("namespace", "")]
        for name, path in self._paths.items():
            value: object = obj
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            found.append(self._absent[name] if value is None else intern(_text(value)))
        return tuple(found)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def reader_for(group: str, plural: str) -> FieldReader:
    """The reader of a built-in resource."""
    return FieldReader(_PATHS.get((group, plural), {}))


def reader_for_paths(paths: tuple[str, ...]) -> FieldReader:
    """The reader of a custom resource with `selectableFields` such as `.spec.color`."""
    return FieldReader({path.removeprefix("."): path.removeprefix(".") for path in paths})
