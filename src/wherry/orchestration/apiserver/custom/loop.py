"""Keeps custom resources served: rows of the table follow the CRDs, their status is written, deleted ones are emptied.

A change of a CRD is served as soon as the watch cache has it; status and clean-up follow in `run`.
"""

import asyncio
import logging

import orjson

from wherry.kit.clock import Clock
from wherry.kit.http.message import Request
from wherry.kit.supervise import attempt
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.request import Call, Target
from wherry.orchestration.apiserver.custom import definitions
from wherry.orchestration.apiserver.custom.rules import CustomRules
from wherry.orchestration.apiserver.registry.cache import Cached, CacheEvent, ResourceCache
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.registry.fields import reader_for_paths
from wherry.orchestration.apiserver.registry.scale_paths import paths_of
from wherry.orchestration.apiserver.registry.served import Served, ServedTable
from wherry.orchestration.apiserver.sheets.conversions import Conversion
from wherry.orchestration.apiserver.strategies.kinds import CLEANUP_FINALIZER
from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.apiserver.tables import custom_printer
from wherry.orchestration.apiserver.user import LOOPBACK
from wherry.orchestration.apiserver.verbs.deleting import DeleteOptions, Deleter
from wherry.orchestration.objects.kinds import CUSTOM_RESOURCE_DEFINITIONS
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.contract import RevisionMismatch

log = logging.getLogger(__name__)

RETRY_S = 1.0


class CustomResources:
    """Call `load` once the registry is loaded, then keep `run` running."""

    def __init__(self, registry: Registry, table: ServedTable, deleter: Deleter, clock: Clock) -> None:
        self._registry = registry
        self._table = table
        self._deleter = deleter
        self._clock = clock
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._rows: dict[str, tuple[bytes, list[Served]]] = {}
        self._emptying: dict[ResourceCache, str] = {}

    @property
    def _cache(self) -> ResourceCache:
        return self._table.of(CUSTOM_RESOURCE_DEFINITIONS).cache

    def load(self) -> None:
        """Serve what is established, and follow the cache from now on."""
        for cached in self._cache.select():
            self._serve(cached)
            self._mark(cached.key)
        self._cache.listeners.append(self._changed)

    def _changed(self, event: CacheEvent) -> None:
        if event.new is not None:
            self._serve(event.new)
            self._mark(event.new.key)
        elif event.old is not None:
            self._stop(event.old.key)
            for other in self._cache.select():
                self._mark(other.key)  # a name may have become free

    def _mark(self, name: str) -> None:
        self._dirty.add(name)
        self._wake.set()

    async def run(self) -> None:
        """Write status and clean up, one CRD at a time, newest state first."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._dirty:
                name = self._dirty.pop()
                if not await attempt(f"custom resource definition {name}", self._reconcile(name)):
                    await asyncio.sleep(RETRY_S)
                    self._mark(name)

    async def _reconcile(self, name: str) -> None:
        await self._registry.fresh()
        cached = self._cache.items.get(name)
        if cached is None:
            return
        crd = cached.obj()
        if crd["metadata"].get("deletionTimestamp"):
            await self._clean_up(cached, crd)
            return
        others = [c.obj() for c in self._cache.select() if c.key != name]
        others = [o for o in others if o["spec"]["group"] == crd["spec"]["group"]]
        status = definitions.status_of(crd, others, self._clock.now())
        if status != crd.get("status"):
            await self._put(cached, {**crd, "status": status})

    async def _put(self, cached: Cached, crd: Object) -> None:
        try:
            await self._registry.put(self._cache, cached.key, crd, expected=cached.revision, created=cached.created)
        except RevisionMismatch:
            self._mark(cached.key)

    async def _clean_up(self, cached: Cached, crd: Object) -> None:
        """Delete every object of a CRD that goes, then let it go."""
        if CLEANUP_FINALIZER not in (crd["metadata"].get("finalizers") or ()):
            return
        spec = crd["spec"]
        instances = self._registry.cache(spec["group"], spec["names"]["plural"])
        served = self._table.any_version(spec["group"], spec["names"]["plural"])
        if served is not None:
            for item in list(instances.select()):
                await self._delete(served, item)
            await self._registry.fresh()
        if instances.items and served is not None:
            self._watch_until_empty(instances, cached.key)
            return
        await self._finish(cached, crd)

    async def _delete(self, served: Served, item: Cached) -> None:
        resource = served.resource
        target = Target("delete", resource.group, resource.version, resource.plural, item.namespace, item.name)
        call = Call(Request("DELETE", "", ""), LOOPBACK, target, served)
        try:
            await self._deleter.delete(call, item.name, DeleteOptions())
        except errors.ApiError as error:
            if error.code != 404:
                raise

    def _watch_until_empty(self, instances: ResourceCache, name: str) -> None:
        """Objects with finalizers go later; look again at each that does."""
        if instances not in self._emptying:
            instances.listeners.append(lambda event: self._mark(name) if event.new is None else None)
        self._emptying[instances] = name

    async def _finish(self, cached: Cached, crd: Object) -> None:
        finalizers = [f for f in crd["metadata"]["finalizers"] if f != CLEANUP_FINALIZER]
        try:
            if finalizers:
                crd["metadata"]["finalizers"] = finalizers
                await self._registry.put(self._cache, cached.key, crd, expected=cached.revision, created=cached.created)
            else:
                await self._registry.delete(self._cache, cached.key, expected=cached.revision)
        except RevisionMismatch:
            self._mark(cached.key)

    def _serve(self, cached: Cached) -> None:
        """Bring the rows of the table in line with one CRD."""
        crd = cached.obj()
        if not definitions.is_established(crd):
            return
        is_going = bool(crd["metadata"].get("deletionTimestamp"))
        shape = orjson.dumps([crd["spec"], (crd.get("status") or {}).get("acceptedNames"), is_going])
        known = self._rows.get(cached.key)
        if known is not None and known[0] == shape:
            return
        self._stop(cached.key)
        rows = [self._row(crd, version, is_going) for version in definitions.served_versions(crd)]
        for row in rows:
            self._table.add(row)
        self._rows[cached.key] = (shape, rows)

    def _stop(self, name: str) -> None:
        """No longer serve the rows of a CRD; open watches end, so that clients look again."""
        _, rows = self._rows.pop(name, (b"", []))
        for row in rows:
            self._table.remove(row.resource)
            for watcher in tuple(row.cache.watchers):
                watcher.cut()

    def _row(self, crd: Object, version: Object, is_going: bool) -> Served:
        resource = definitions.resource_of(crd, version)
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        rules = CustomRules(resource, schema)
        subresources = version.get("subresources") or {}
        paths = tuple(field["jsonPath"] for field in version.get("selectableFields") or ())
        return Served(
            resource=resource,
            cache=self._registry.cache(resource.group, crd["spec"]["names"]["plural"]),
            strategy=Strategy(
                has_status="status" in resource.subresources, tracks_generation=True, takes_unconditional_update=False,
                status_takes_metadata=False),
            fields=reader_for_paths(paths),
            node_of=lambda: rules.node,
            rules_of=lambda _: rules,
            conversion=_conversion(crd, version, resource.api_version, rules),
            printer=custom_printer(version.get("additionalPrinterColumns") or DEFAULT_COLUMNS),
            is_custom=True,
            is_terminating=is_going,
            scale=paths_of(subresources["scale"]) if subresources.get("scale") else None,
            schema=schema,
        )


DEFAULT_COLUMNS: list[Object] = [
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
     "description": "Time since creation; see metadata.creationTimestamp"},
]


def _conversion(crd: Object, version: Object, api_version: str, rules: CustomRules) -> Conversion | None:
    storage = definitions.storage_version(crd)
    stored_api_version = f"{crd['spec']['group']}/{storage}"
    stored_versions = (crd.get("status") or {}).get("storedVersions") or [storage]
    is_stored = version["name"] == storage
    needs_webhook = definitions.is_converted_by_webhook(crd)
    if is_stored and stored_versions == [storage] and not _mentions_default(version):
        return None

    def refuse_foreign(obj: Object, wanted: str) -> None:
        if needs_webhook and obj["apiVersion"] != wanted:
            raise errors.ApiError(501, "NotImplemented", f"conversion webhook for {crd['metadata']['name']} from "
                                  f"{obj['apiVersion']} to {wanted}: webhook conversion is not supported")

    def to_served(obj: Object) -> Object:
        refuse_foreign(obj, api_version)
        return rules.default(obj | {"apiVersion": api_version})

    def to_stored(obj: Object) -> Object:
        refuse_foreign(obj, stored_api_version)
        return obj | {"apiVersion": stored_api_version}

    return Conversion(to_served, to_stored)


def _mentions_default(version: Object) -> bool:
    return b'"default":' in orjson.dumps(version.get("schema") or {})

