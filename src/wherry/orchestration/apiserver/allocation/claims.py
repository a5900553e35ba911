"""Who has which value, as objects of the store: who creates the key has it, whichever API server he asked.

Out:   an address: the IPAddress of its name, as upstream's; a node port: an object that is not served, `<protocol>-<port>`.
How:   a claim is made before its Service is written, and given back after that is gone. What lies between when a server dies, or
       does not know whether its write was done, `repair` mends.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

from wherry.kit.clock import Clock, rfc3339
from wherry.orchestration.apiserver.registry.cache import Cached, ResourceCache
from wherry.orchestration.apiserver.registry.feed import INTERNAL_GROUP, Registry
from wherry.orchestration.apiserver.strategies.service_values import Value
from wherry.orchestration.objects.kinds import IP_ADDRESSES
from wherry.orchestration.objects.meta import Object, labels_of
from wherry.orchestration.store.contract import RevisionMismatch

IP_LABELS = {"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}


@dataclass(frozen=True, slots=True)
class Claim:
    """`owner`: "namespace/name" of the Service; `revision`: of the claim itself."""

    value: Value
    owner: str
    revision: int


class Claims:
    """Of one API server on the store that all share."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock
        self._addresses = registry.cache(IP_ADDRESSES.group, IP_ADDRESSES.plural)
        self._ports = registry.cache(INTERNAL_GROUP, "nodeports")

    async def take(self, value: Value, owner: str) -> Claim | None:
        """None: somebody has it."""
        cache, key = self._place(value)
        try:
            return Claim(value, owner, (await self._registry.put(cache, key, self._object(value, owner), expected=0)).revision)
        except RevisionMismatch:
            return None

    async def give_back(self, claim: Claim) -> None:
        """One that has changed since stays."""
        cache, key = self._place(claim.value)
        try:
            await self._registry.delete(cache, key, expected=claim.revision)
        except RevisionMismatch:
            pass

    async def held(self, value: Value) -> Claim | None:
        """The newest claim of it."""
        cache, key = self._place(value)
        cached = await self._registry.read(cache, key)
        return None if cached is None else _claim(cached, value)

    def is_known(self, value: Value) -> bool:
        """Whether the caches have a claim of it: a hint, the store decides."""
        cache, key = self._place(value)
        return key in cache.items

    def all(self) -> Iterator[Claim]:
        """Every claim that a Service made, as the caches have it now; read one by one as they are asked for."""
        addresses, ports = list(self._addresses.items.values()), list(self._ports.items.values())
        return itertools.chain(
            (_claim(cached, cached.key) for cached in addresses if labels_of(cached.obj()).items() >= IP_LABELS.items()),
            (_claim(cached, _port(cached.key)) for cached in ports))

    def _place(self, value: Value) -> tuple[ResourceCache, str]:
        if isinstance(value, str):
            return self._addresses, value
        protocol, port = value
        return self._ports, f"{protocol}-{port}"

    def _object(self, value: Value, owner: str) -> Object:
        namespace, _, name = owner.partition("/")
        is_address = isinstance(value, str)
        return {
            "kind": "IPAddress" if is_address else "NodePort",
            "apiVersion": IP_ADDRESSES.api_version if is_address else "wherry.dev/v1",
            "metadata": {
                "name": self._place(value)[1], "uid": str(uuid4()), "creationTimestamp": rfc3339(self._clock.now()),
                "labels": dict(IP_LABELS) if is_address else {},
            },
            "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
        }


def _port(key: str) -> Value:
    protocol, _, number = key.partition("-")
    return protocol, int(number)


def _claim(cached: Cached, value: Value) -> Claim:
    parent = (cached.obj().get("spec") or {}).get("parentRef") or {}
    return Claim(value, f"{parent.get('namespace', '')}/{parent.get('name', '')}", cached.revision)
