"""Services: what stays and what goes with a change of type. Addresses and node ports are the allocator's (`allocation/`)."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from wherry.orchestration.apiserver.strategies.service_values import needs_health_port, needs_node_ports
from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.objects.meta import Object

NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


class Allocator(Protocol):
    """Gives out addresses and node ports (`allocation/`)."""

    def reserve(self, obj: Object, old: Object | None, *, is_dry_run: bool) -> AbstractAsyncContextManager[Callable[[], None]]:
        """Fill in what `obj` needs; what is yielded is called when `obj` is written."""

    async def give_back(self, obj: Object) -> None:
        """What a Service had that is gone."""


class ServiceStrategy(Strategy):
    """`allocator`: None where nothing is given out."""

    def __init__(self) -> None:
        super().__init__(has_status=True, initial_status={"loadBalancer": {}}, creates_on_update=True)
        self.allocator: Allocator | None = None

    def prepare_update(self, obj: Object, old: Object) -> None:
        """What was allocated stays when the client leaves it out, and goes when the new type needs none."""
        super().prepare_update(obj, old)
        spec, before = obj["spec"], old["spec"]
        if spec.get("type") == "ExternalName":
            if before.get("type") != "ExternalName" and spec.get("clusterIP") == before.get("clusterIP"):
                for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                    spec.pop(name, None)
            if needs_node_ports(before):
                _drop_node_ports(spec, before)
            _drop_dependents(spec, before)
            return
        if before.get("type") == "ExternalName":
            return
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and name in before:
                spec[name] = before[name]
        if needs_node_ports(spec) and needs_node_ports(before):
            _keep_node_ports(spec, before)
        elif not needs_node_ports(spec) and needs_node_ports(before):
            _drop_node_ports(spec, before)
        _drop_dependents(spec, before)
        if spec.get("healthCheckNodePort") is None and needs_health_port(spec) and "healthCheckNodePort" in before:
            spec["healthCheckNodePort"] = before["healthCheckNodePort"]

    def reserve(self, obj: Object, old: Object | None, *, is_dry_run: bool) -> AbstractAsyncContextManager[Callable[[], None]]:
        """Fill in clusterIP(s), ipFamilies and nodePorts."""
        if self.allocator is None:
            return super().reserve(obj, old, is_dry_run=is_dry_run)
        return self.allocator.reserve(obj, old, is_dry_run=is_dry_run)

    async def released(self, obj: Object) -> None:
        if self.allocator is not None:
            await self.allocator.give_back(obj)


def _keep_node_ports(spec: Object, before: Object) -> None:
    known = {(p.get("protocol", "TCP"), p.get("port")): p.get("nodePort") for p in before.get("ports") or ()}
    taken = {p["nodePort"] for p in spec.get("ports") or () if p.get("nodePort")}
    for port in spec.get("ports") or ():
        earlier = known.get((port.get("protocol", "TCP"), port.get("port")))
        if not port.get("nodePort") and earlier and earlier not in taken:
            port["nodePort"] = earlier


def _drop_node_ports(spec: Object, before: Object) -> None:
    earlier = {p.get("nodePort") for p in before.get("ports") or ()}
    for port in spec.get("ports") or ():
        if port.get("nodePort") in earlier:
            port.pop("nodePort", None)


def _drop_dependents(spec: Object, before: Object) -> None:
    """Fields of the earlier type that the client has not changed go with it."""
    kind = spec.get("type")
    gone: tuple[str, ...] = ()
    if kind not in NODE_PORT_TYPES and not spec.get("externalIPs"):
        gone += ("externalTrafficPolicy",)
    if not needs_health_port(spec):
        gone += ("healthCheckNodePort",)
    if kind != "LoadBalancer":
        gone += ("allocateLoadBalancerNodePorts", "loadBalancerClass")
    for name in gone:
        if name in spec and spec.get(name) == before.get(name):
            del spec[name]
