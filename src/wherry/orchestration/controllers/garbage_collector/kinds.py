"""Which resources are watched for garbage, and which resource an owner reference means: pure.

What is not built in, custom or aggregated, comes from the server's discovery. An owner of a kind that nobody serves counts as
existing.
"""

from collections.abc import Sequence

from wherry.orchestration.client.discovery import Discovered
from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

NEEDED_VERBS = frozenset({"delete", "list", "watch"})
IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})  # they expire by themselves, and there are many


class Kinds:
    """Resources by group and kind."""

    def __init__(self, resources: Sequence[Resource] = BUILTIN) -> None:
        self._built_in = {(resource.group, resource.plural) for resource in BUILTIN}
        self._others: dict[tuple[str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for resource in resources:
            if set(resource.verbs) >= NEEDED_VERBS:
                self._by_kind.setdefault((resource.group, resource.kind), resource)

    def watched(self) -> list[Resource]:
        """The resources to watch."""
        return [r for r in (*self._by_kind.values(), *self._others.values()) if (r.group, r.plural) not in IGNORED]

    def find(self, owner: Object) -> Resource | None:
        """The resource of an owner reference, in the version that is watched."""
        group = str(owner.get("apiVersion", "")).rpartition("/")[0]
        key = (group, str(owner.get("kind")))
        return self._by_kind.get(key) or self._others.get(key)

    def follow(self, discovered: Discovered) -> tuple[list[Resource], list[Resource]]:
        """Take in what is served now beside what is built in. Return what is watched from now on, and what no longer.

        What a server that does not answer had stays: its objects are not gone."""
        stale = {tuple(place.rpartition("/")[::2]) for place in discovered.stale}
        served = {
            (r.group, r.kind): r for r in discovered.resources
            if (r.group, r.plural) not in self._built_in and set(r.verbs) >= NEEDED_VERBS}
        kept = {key: r for key, r in self._others.items() if key not in served and (r.group, r.version) in stale}
        gone = [r for key, r in self._others.items() if key not in kept and not _is_same(r, served.get(key))]
        new = [r for key, r in served.items() if not _is_same(r, self._others.get(key))]
        self._others = kept | {
            key: self._others[key] if r not in new else r for key, r in served.items()}
        return new, gone


def _is_same(one: Resource, other: Resource | None) -> bool:
    return other is not None and (one.version, one.plural, one.namespaced) == (other.version, other.plural, other.namespaced)
