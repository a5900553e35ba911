"""Services: cluster addresses and node ports are given out on create and taken back on delete.

Spec:  https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects ; the range's first 16 to 256
       addresses are left for those who ask for one by name (KEP-3070), dynamic ones come from above.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, ip_address

from wherry.kit.reserved import Reserved
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.registry.cache import CacheEvent, ResourceCache
from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.objects.meta import Object, key_of, name_of

NOTHING = Reserved()
NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


class ServiceStrategy(Strategy):
    """Allocation is bound to the cache of Services by `allocate_from`."""

    def __init__(self) -> None:
        super().__init__(has_status=True, initial_status={"loadBalancer": {}}, creates_on_update=True)
        self._allocator: Allocator | None = None

    def allocate_from(
        self, cache: ResourceCache, cidr: IPv4Network, ports: tuple[int, int], reserved: Reserved = NOTHING
    ) -> None:
        """Give out addresses of `cidr` and node ports of `ports`, none that is `reserved`."""
        self._allocator = Allocator(cache, cidr, ports, reserved)

    def prepare_update(self, obj: Object, old: Object) -> None:
        """What was allocated stays when the client leaves it out, and goes when the new type needs none."""
        super().prepare_update(obj, old)
        spec, before = obj["spec"], old["spec"]
        if spec.get("type") == "ExternalName":
            if before.get("type") != "ExternalName" and spec.get("clusterIP") == before.get("clusterIP"):
                for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                    spec.pop(name, None)
            return
        if before.get("type") == "ExternalName":
            return
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and name in before:
                spec[name] = before[name]
        if _needs_node_ports(spec) and _needs_node_ports(before):
            _keep_node_ports(spec, before)
        elif not _needs_node_ports(spec) and _needs_node_ports(before):
            _drop_node_ports(spec, before)
        _drop_dependents(spec, before)
        if spec.get("healthCheckNodePort") is None and _needs_health_port(spec) and "healthCheckNodePort" in before:
            spec["healthCheckNodePort"] = before["healthCheckNodePort"]

    @contextmanager
    def reserve(self, obj: Object, old: Object | None) -> Iterator[Callable[[], None]]:
        """Fill in clusterIP(s), ipFamilies and nodePorts."""
        if self._allocator is None:
            yield lambda: None
            return
        with self._allocator.reserve(obj, old) as commit:
            yield commit


def _needs_node_ports(spec: Object) -> bool:
    if spec.get("type") == "LoadBalancer":
        return spec.get("allocateLoadBalancerNodePorts", True) is not False
    return spec.get("type") == "NodePort"


def _needs_health_port(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


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
    if not _needs_health_port(spec):
        gone += ("healthCheckNodePort",)
    if kind != "LoadBalancer":
        gone += ("allocateLoadBalancerNodePorts", "loadBalancerClass")
    for name in gone:
        if name in spec and spec.get(name) == before.get(name):
            del spec[name]


class Allocator:
    """What is used is what the cached Services have, plus what was given out and has not come back in the cache.

    Made before the cache is loaded, so that it hears of every Service.
    """

    def __init__(self, cache: ResourceCache, cidr: IPv4Network, ports: tuple[int, int], reserved: Reserved) -> None:
        self._cidr, self._ports, self._reserved = cidr, ports, reserved
        self._ips: dict[str, str] = {}  # address -> key of the Service
        self._node_ports: dict[tuple[str, int], str] = {}  # (protocol, port) -> key of the Service
        self._pending: set[object] = set()
        cache.listeners.append(self._changed)

    def _changed(self, event: CacheEvent) -> None:
        if event.old is not None:
            self._forget(event.old.key, event.old.obj()["spec"])
        if event.new is not None:
            self._learn(event.new.key, event.new.obj()["spec"])

    def _learn(self, key: str, spec: Object) -> None:
        for address in _addresses(spec):
            self._ips[address] = key
            self._pending.discard(address)
        for port in _node_ports(spec):
            self._node_ports[port] = key
            self._pending.discard(port)

    def _forget(self, key: str, spec: Object) -> None:
        for address in _addresses(spec):
            if self._ips.get(address) == key:
                del self._ips[address]
        for port in _node_ports(spec):
            if self._node_ports.get(port) == key:
                del self._node_ports[port]

    @contextmanager
    def reserve(self, obj: Object, old: Object | None) -> Iterator[Callable[[], None]]:
        """See `ServiceStrategy.reserve`."""
        taken: list[object] = []
        committed: list[bool] = []
        try:
            self._fill_addresses(obj, old, taken)
            self._fill_ports(obj, old, taken)
            yield lambda: committed.append(True)
        finally:
            if not committed:
                self._pending.difference_update(taken)

    def _fill_addresses(self, obj: Object, old: Object | None, taken: list[object]) -> None:
        spec = obj["spec"]
        if spec.get("type") == "ExternalName":
            return
        wanted = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if not spec.get("ipFamilies"):
            spec["ipFamilies"] = ["IPv4"]
        if wanted == "None":
            spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
            return
        if wanted and old is not None and old["spec"].get("clusterIP") == wanted:
            spec["clusterIPs"] = spec.get("clusterIPs") or [wanted]
            return
        address = self._named_address(obj, wanted) if wanted else self._free_address(obj)
        self._pending.add(address)
        taken.append(address)
        spec["clusterIP"], spec["clusterIPs"] = address, [address]

    def _named_address(self, obj: Object, wanted: str) -> str:
        def refuse(why: str) -> errors.ApiError:
            causes = [errors.cause("FieldValueInvalid", "spec.clusterIPs", f'Invalid value: ["{wanted}"]: {why}')]
            return errors.invalid("", "Service", name_of(obj), causes)

        try:
            address = ip_address(wanted)
        except ValueError:
            raise refuse("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)") from None
        if not isinstance(address, IPv4Address) or address not in self._cidr:
            raise refuse(f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. "
                         f"The range of valid IPs is {self._cidr}")
        if owner := self._reserved.address_owner(wanted, asker=key_of(obj)):
            raise refuse(f"failed to allocate IP {wanted}: it is reserved for {owner}")
        if wanted in self._ips or wanted in self._pending:
            raise refuse(f"failed to allocate IP {wanted}: provided IP is already allocated")
        return wanted

    def _free_address(self, obj: Object) -> str:
        size = self._cidr.num_addresses
        static = min(max(16, size // 16), 256) if size > 32 else 1
        for low, high in ((static, size - 1), (1, static)):
            start = random.randrange(low, high)
            for step in range(high - low):
                address = str(self._cidr[low + (start - low + step) % (high - low)])
                is_free = address not in self._ips and address not in self._pending
                if is_free and not self._reserved.address_owner(address):
                    return address
        raise errors.ApiError(500, "InternalError", f"Internal error occurred: failed to allocate a serviceIP for "
                              f"{name_of(obj)!r}: range is full")

    def _fill_ports(self, obj: Object, old: Object | None, taken: list[object]) -> None:
        spec = obj["spec"]
        mine = set(_node_ports(old["spec"])) if old is not None else set()
        if _needs_node_ports(spec):
            for index, port in enumerate(spec.get("ports") or ()):
                self._fill_port(obj, index, port, mine, taken)
        if _needs_health_port(spec) and not spec.get("healthCheckNodePort"):
            spec["healthCheckNodePort"] = self._free_port("TCP", taken)

    def _fill_port(self, obj: Object, index: int, port: Object, mine: set[tuple[str, int]], taken: list[object]) -> None:
        protocol, wanted = port.get("protocol", "TCP"), port.get("nodePort")
        if not wanted:
            sibling = next((p.get("nodePort") for p in obj["spec"]["ports"][:index]
                            if p.get("port") == port.get("port") and p.get("nodePort")), None)
            if sibling and (protocol, sibling) not in self._node_ports:
                port["nodePort"] = sibling
                self._take((protocol, sibling), taken)
            else:
                port["nodePort"] = self._free_port(protocol, taken)
            return
        low, high = self._ports
        why = ""
        if (protocol, wanted) in mine:
            return
        if not low <= wanted <= high:
            why = f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
        elif owner := self._reserved.port_owner(protocol, wanted):
            why = f"provided port is reserved for {owner}"
        elif (protocol, wanted) in self._node_ports or (protocol, wanted) in self._pending:
            why = "provided port is already allocated"
        if why:
            cause = errors.cause("FieldValueInvalid", f"spec.ports[{index}].nodePort", f"Invalid value: {wanted}: {why}")
            raise errors.invalid("", "Service", name_of(obj), [cause])
        self._take((protocol, wanted), taken)

    def _take(self, port: tuple[str, int], taken: list[object]) -> None:
        self._pending.add(port)
        taken.append(port)

    def _has(self, protocol: str, number: int) -> bool:
        port = (protocol, number)
        return port in self._node_ports or port in self._pending or bool(self._reserved.port_owner(protocol, number))

    def _free_port(self, protocol: str, taken: list[object]) -> int:
        low, high = self._ports
        start = random.randrange(high - low + 1)
        for step in range(high - low + 1):
            number = low + (start + step) % (high - low + 1)
            if not any(self._has(p, number) for p in ("TCP", "UDP", "SCTP")):
                self._take((protocol, number), taken)
                return number
        raise errors.ApiError(500, "InternalError", "Internal error occurred: failed to allocate a nodePort: range is full")


def _addresses(spec: Object) -> list[str]:
    listed = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [address for address in listed if address != "None"]


def _node_ports(spec: Object) -> list[tuple[str, int]]:
    found = [(p.get("protocol", "TCP"), int(p["nodePort"])) for p in spec.get("ports") or () if p.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        found.append(("TCP", int(spec["healthCheckNodePort"])))
    return found
