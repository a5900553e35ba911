"""ResourceQuota: no object is created beyond the bounds of its namespace, and every quota shows what is used.

Usage is counted from the watch caches at each create, plus what was let in and is not there yet (`on_the_way.py`); nothing is
remembered that could drift. The status follows changes in namespaces that have quotas.
"""

import asyncio
from collections.abc import Iterable
from fractions import Fraction

from wherry.kit.supervise import attempt
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CREATE, ITSELF, UPDATE, WRITES, AdmissionRequest, Plugin
from wherry.orchestration.apiserver.quota.on_the_way import OnTheWay, Pending
from wherry.orchestration.apiserver.quota.usage import Usage, looks_at, unspecified, usage_of
from wherry.orchestration.apiserver.registry.cache import ResourceCache
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.registry.served import Served, ServedTable
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.kinds import RESOURCE_QUOTAS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.store.contract import RevisionMismatch

SETTLE_S = 0.05  # changes of a burst make one status


class Quotas(Plugin):
    """Admission and status. `run` keeps the status."""

    operations = WRITES
    subresources = ITSELF

    def __init__(self, registry: Registry, table: ServedTable, on_the_way: OnTheWay) -> None:
        self._registry = registry
        self._table = table
        self._on_the_way = on_the_way
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        registry.listeners.append(self._changed)

    @property
    def _cache(self) -> ResourceCache:
        return self._table.of(RESOURCE_QUOTAS).cache

    async def validate(self, request: AdmissionRequest) -> None:
        is_write = request.operation == CREATE or (request.operation == UPDATE and request.place == ("", "services"))
        if not is_write or not request.namespace:
            return
        quotas = [c.obj() for c in self._cache.select(request.namespace)]
        if not quotas:
            return
        obj = request.new
        delta = usage_of(request.resource, obj)
        if request.old is not None:
            before = usage_of(request.resource, request.old)
            delta = {n: a - before.get(n, Fraction(0)) for n, a in delta.items() if a > before.get(n, Fraction(0))}
        concerned = [q for q in quotas if looks_at(q, request.resource, obj)]

        def check(pending: Pending) -> None:
            for quota in concerned:
                self._check(request, quota, delta, pending)

        if request.is_dry_run or request.operation != CREATE:
            check(await self._on_the_way.now(request.namespace))
        else:
            await self._on_the_way.let_in(request.namespace, self._table.of(request.resource), obj, check)

    def _check(self, request: AdmissionRequest, quota: Object, delta: Usage, pending: Pending) -> None:
        hard = quota.get("spec", {}).get("hard") or {}
        touched = sorted(name for name in delta if name in hard and delta[name])
        if request.place == ("", "pods") and request.obj is not None:
            missing = unspecified(quota, request.obj)
            if missing:
                raise errors.forbidden(request.resource, request.name,
                                       f"failed quota: {name_of(quota)}: must specify {'; '.join(missing)}")
        if not touched:
            return
        used = self._used(quota, request.namespace, touched, pending)
        over = [name for name in touched if used[name] + delta[name] > quantity.parse(hard[name])]
        if over:
            def texts(amounts: dict[str, str]) -> str:
                return ",".join(f"{name}={amounts[name]}" for name in over)

            raise errors.forbidden(
                request.resource, request.name,
                f"exceeded quota: {name_of(quota)}, requested: {texts(_texts(delta, hard))}, "
                f"used: {texts(_texts(used, hard))}, limited: {texts(hard)}")

    def _used(self, quota: Object, namespace: str, names: Iterable[str], pending: Pending) -> Usage:
        """What the namespace uses of `names`, with what is on its way."""
        wanted = set(names)
        total = dict.fromkeys(wanted, Fraction(0))

        def count(resource: Resource, obj: Object) -> None:
            if looks_at(quota, resource, obj):
                for name, amount in usage_of(resource, obj).items():
                    if name in wanted:
                        total[name] += amount

        for served in self._concerned(wanted):
            for cached in served.cache.select(namespace):
                count(served.resource, cached.obj())
        for resource, obj in pending:
            count(resource, obj)
        return total

    def _concerned(self, names: set[str]) -> list[Served]:
        """The resources that count for any of `names`, each cache once."""
        found: dict[str, Served] = {}
        for served in self._table.rows():
            resource = served.resource
            is_pod = (resource.group, resource.plural) == ("", "pods")
            counts = f"count/{resource.qualified_name}" in names or (not resource.group and (
                resource.plural in names or (is_pod and any(not n.startswith(("count/", "services")) for n in names))
                or (resource.plural == "services" and any(n.startswith("services.") for n in names))
                or (resource.plural == "persistentvolumeclaims" and any("storage" in n for n in names))))
            if counts and resource.namespaced:
                found.setdefault(served.cache.prefix, served)
        return list(found.values())

    def _changed(self, cache: ResourceCache, key: str) -> None:
        namespace = key.partition("/")[0]
        self._on_the_way.changed(cache, key)
        if cache is self._cache or (self._cache.items and self._cache.keys(namespace)):
            self._dirty.add(namespace)
            self._wake.set()

    async def run(self) -> None:
        """Write statuses for ever."""
        self._dirty |= {cached.namespace for cached in self._cache.select()}
        while True:
            if not self._dirty:
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(SETTLE_S)
            namespace = self._dirty.pop()
            await attempt(f"resource quotas of {namespace}", self._write_status(namespace))

    async def _write_status(self, namespace: str) -> None:
        await self._registry.settled()
        quotas = list(self._cache.select(namespace))
        if not quotas:
            await self._on_the_way.forget(namespace)
            return
        pending = await self._on_the_way.now(namespace)
        for cached in quotas:
            quota = cached.obj()
            hard = quota.get("spec", {}).get("hard") or {}
            used = _texts(self._used(quota, namespace, hard, pending), hard)
            status = {"hard": hard, "used": used}
            if quota.get("status") != status:
                try:
                    await self._registry.put(
                        self._cache, cached.key, {**quota, "status": status}, expected=cached.revision, created=cached.created)
                except RevisionMismatch:
                    self._dirty.add(namespace)


def _texts(amounts: Usage, like: dict[str, str]) -> dict[str, str]:
    return {name: quantity.format_like(_number(amount), like.get(name, "0")) for name, amount in amounts.items()}


def _number(amount: Fraction) -> str:
    """Exact to a nano, as quantities are."""
    return f"{amount.numerator}" if amount.denominator == 1 else f"{-(-amount * 10**9 // 1)}n"
