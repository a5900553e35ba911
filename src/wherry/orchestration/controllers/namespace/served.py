"""Which resources of a namespace can be deleted, read from the server's discovery.

In:    bodies of GET /api and /apis as APIGroupDiscoveryList (apidiscovery.k8s.io/v2).
Out:   one `Resource` per group and plural, in the version the server prefers; groups it could not ask. Pure.
"""

from collections.abc import Iterable, Iterator

from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.resources import Resource

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
PATHS = ("/api", "/apis")


def deletable(documents: Iterable[Object]) -> tuple[list[Resource], list[str]]:
    """(resources, `group/version`s whose server did not answer)."""
    found: dict[tuple[str, str], Resource] = {}
    stale: list[str] = []
    for group in (item for document in documents for item in document.get("items") or ()):
        name = name_of(group)
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                stale.append(f"{name}/{version['version']}" if name else version["version"])
            for resource in _resources(name, version):
                found.setdefault((resource.group, resource.plural), resource)
    return list(found.values()), stale


def _resources(group: str, version: Object) -> Iterator[Resource]:
    for entry in version.get("resources") or ():
        verbs = tuple(entry.get("verbs") or ())
        if entry.get("scope") != "Namespaced" or not {"delete", "list"} <= set(verbs):
            continue
        kind = (entry.get("responseKind") or {}).get("kind") or ""
        yield Resource(
            group, version["version"], kind, entry["resource"], entry.get("singularResource") or "", True, verbs=verbs
        )
