"""An `ObjectSource` over plain dictionaries, for the tests beside it."""

import copy
from datetime import UTC, datetime

from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.meta import Object, name_of, namespace_of
from wherry.orchestration.objects.resources import Resource

START = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)


class DictSource:
    def __init__(self, *objects: Object) -> None:
        self._objects: dict[Resource, dict[tuple[str, str], Object]] = {}
        self._revisions: dict[Resource, int] = {}
        self._revision = 0
        for obj in objects:
            self.put(obj)

    def put(self, obj: Object) -> Object:
        resource = kinds.by_kind(obj["apiVersion"], obj["kind"])
        assert resource is not None, obj["kind"]
        self._objects.setdefault(resource, {})[namespace_of(obj), name_of(obj)] = obj
        self._moved(resource)
        return obj

    def remove(self, obj: Object) -> None:
        resource = kinds.by_kind(obj["apiVersion"], obj["kind"])
        assert resource is not None
        del self._objects[resource][namespace_of(obj), name_of(obj)]
        self._moved(resource)

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self._objects.get(resource, {}).get((namespace, name)))

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        found = self._objects.get(resource, {})
        return [copy.deepcopy(obj) for key, obj in sorted(found.items()) if namespace in ("", key[0])]

    def revision(self, *resources: Resource) -> int:
        return max(self._revisions.get(resource, 0) for resource in resources)

    def _moved(self, resource: Resource) -> None:
        self._revision += 1
        self._revisions[resource] = self._revision


def meta(name: str, namespace: str = "", **more: object) -> Object:
    inside = {"namespace": namespace} if namespace else {}
    return {"name": name, "uid": f"uid-{name}", **inside, **more}


def pod(name: str, namespace: str = "default", node: str = "n1", **spec: object) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, namespace),
            "spec": {"nodeName": node, "serviceAccountName": "default", **spec}}


def account(name: str = "default", namespace: str = "default") -> Object:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name, namespace)}
