"""Which resources are watched for garbage, and which resource an owner reference means: pure.

Custom resources come from their definitions; aggregated APIs are not watched (their objects are never deleted here,
and an owner of such a kind counts as existing).
"""

from collections.abc import Sequence

from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.meta import Object, condition_of
from wherry.orchestration.objects.resources import Resource

NEEDED_VERBS = frozenset({"delete", "list", "watch"})
IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})  # they expire by themselves, and there are many


class Kinds:
    """Resources by group and kind."""

    def __init__(self, resources: Sequence[Resource] = BUILTIN) -> None:
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for resource in resources:
            if set(resource.verbs) >= NEEDED_VERBS:
                self._by_kind.setdefault((resource.group, resource.kind), resource)

    def watched(self) -> list[Resource]:
        """The resources to watch."""
        return [r for r in self._by_kind.values() if (r.group, r.plural) not in IGNORED]

    def find(self, owner: Object) -> Resource | None:
        """The resource of an owner reference, in the version that is watched."""
        group = str(owner.get("apiVersion", "")).rpartition("/")[0]
        return self._by_kind.get((group, str(owner.get("kind"))))

    def add(self, resource: Resource) -> None:
        """A custom resource is served."""
        self._by_kind[(resource.group, resource.kind)] = resource

    def remove(self, resource: Resource) -> None:
        """A custom resource is served no longer."""
        self._by_kind.pop((resource.group, resource.kind), None)

    @staticmethod
    def of_definition(definition: Object) -> Resource | None:
        """The resource that a CustomResourceDefinition serves, in its storage version; None while it does not."""
        spec = definition["spec"]
        established = condition_of((definition.get("status") or {}).get("conditions"), "Established")
        served = [version for version in spec.get("versions") or () if version.get("served")]
        if established is None or established.get("status") != "True" or not served:
            return None
        version = next((v for v in served if v.get("storage")), served[0])
        names = spec["names"]
        return Resource(
            spec["group"], version["name"], names["kind"], names["plural"], names.get("singular", ""),
            spec.get("scope") == "Namespaced",
        )  # fmt: skip
