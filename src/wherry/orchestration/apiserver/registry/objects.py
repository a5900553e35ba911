"""The `ObjectSource` of the API server's own parts, read from the watch caches."""

from wherry.orchestration.apiserver.registry.served import ServedTable
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource


class CachedObjects:
    """See `source.ObjectSource`."""

    def __init__(self, table: ServedTable) -> None:
        self._table = table

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        served = self._table.of(resource)
        cached = served.cache.items.get(served.key(namespace, name))
        return None if cached is None else served.obj(cached)

    def list(self, resource: Resource, namespace: str = "") -> list[Object]:
        served = self._table.of(resource)
        return [served.obj(cached) for cached in served.cache.select(namespace)]

    def revision(self, *resources: Resource) -> int:
        of = self._table.of
        return max([of(resource).cache.revision for resource in resources])
