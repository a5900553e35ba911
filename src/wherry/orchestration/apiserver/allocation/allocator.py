"""Gives cluster addresses and node ports to Services as they are written, and takes them back.

Spec:  https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects ; the range's first 16 to 256
       addresses are left for those who ask for one by name (KEP-3070), dynamic ones come from above.
How:   the cached claims say what is worth a try; the claim in the store says whose it is. Another API server may be a step ahead of
       the cache: then the claim is refused, and the next value is tried, or who asked for it by name is told.
"""

import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, ip_address

from wherry.kit.errors import WherryError
from wherry.kit.reserved import Reserved
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.allocation.claims import Claim, Claims
from wherry.orchestration.apiserver.strategies.service_values import Value, needs_health_port, needs_node_ports, node_ports, values
from wherry.orchestration.objects.meta import Object, key_of, name_of
from wherry.orchestration.store.contract import NoSpace, RevisionMismatch

log = logging.getLogger(__name__)

PROTOCOLS = ("TCP", "UDP", "SCTP")


class Allocator:
    """Has nothing of its own to remember. Nothing that is `reserved` is given out."""

    def __init__(self, claims: Claims, cidr: IPv4Network, ports: tuple[int, int], reserved: Reserved) -> None:
        self._claims, self._cidr, self._ports, self._reserved = claims, cidr, ports, reserved

    @asynccontextmanager
    async def reserve(self, obj: Object, old: Object | None, *, is_dry_run: bool) -> AsyncIterator[Callable[[], None]]:
        """Fill in clusterIP(s), ipFamilies and nodePorts. What is yielded is called when `obj` is written: then what `old` had and
        `obj` has not is given back, else what was taken is. A dry run claims nothing."""
        taking = _Taking(obj, old, is_dry_run)
        is_written: list[bool] = []
        try:
            await self._fill_addresses(taking)
            await self._fill_ports(taking)
            yield lambda: is_written.append(True)
        except (RevisionMismatch, NoSpace, errors.ApiError):
            await self._undo(taking)
            raise  # other failures do not tell whether it was written: the claims stay until `repair` knows
        if not is_written:
            await self._undo(taking)
        elif old is not None:
            await self.give_back(old, but=values(obj["spec"]))

    async def give_back(self, obj: Object, but: Sequence[Value] = ()) -> None:
        """What a Service had that is gone, or has other values now. A failure is `repair`'s to mend: the write is done."""
        for value in set(values(obj["spec"])) - set(but):
            try:
                claim = await self._claims.held(value)
                if claim is not None and claim.owner == key_of(obj):
                    await self._claims.give_back(claim)
            except WherryError as error:
                log.warning("%s of Service %s stays taken for some minutes: %s", value, key_of(obj), error)

    async def _undo(self, taking: "_Taking") -> None:
        for claim in taking.claims:
            try:
                await self._claims.give_back(claim)
            except WherryError as error:
                log.warning("%s stays taken for some minutes: %s", claim.value, error)

    async def _take(self, taking: "_Taking", value: Value) -> bool:
        """False: somebody has it."""
        if value in taking.tried:
            return False
        taking.tried.add(value)
        if taking.is_dry_run:
            return await self._claims.held(value) is None
        claim = await self._claims.take(value, key_of(taking.obj))
        if claim is None:
            return False
        taking.claims.append(claim)
        return True

    async def _fill_addresses(self, taking: "_Taking") -> None:
        spec, old = taking.obj["spec"], taking.old
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
        address = await self._named_address(taking, wanted) if wanted else await self._free_address(taking)
        spec["clusterIP"], spec["clusterIPs"] = address, [address]

    async def _named_address(self, taking: "_Taking", wanted: str) -> str:
        def refuse(why: str) -> errors.ApiError:
            causes = [errors.cause("FieldValueInvalid", "spec.clusterIPs", f'Invalid value: ["{wanted}"]: {why}')]
            return errors.invalid("", "Service", name_of(taking.obj), causes)

        try:
            address = ip_address(wanted)
        except ValueError:
            raise refuse("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)") from None
        if not isinstance(address, IPv4Address) or address not in self._cidr:
            raise refuse(f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. "
                         f"The range of valid IPs is {self._cidr}")
        if owner := self._reserved.address_owner(wanted, asker=key_of(taking.obj)):
            raise refuse(f"failed to allocate IP {wanted}: it is reserved for {owner}")
        if not await self._take(taking, wanted):
            raise refuse(f"failed to allocate IP {wanted}: provided IP is already allocated")
        return wanted

    async def _free_address(self, taking: "_Taking") -> str:
        size = self._cidr.num_addresses
        static = min(max(16, size // 16), 256) if size > 32 else 1
        for low, high in ((static, size - 1), (1, static)):
            start = random.randrange(low, max(high, low + 1))  # a small range has no second part
            for step in range(high - low):
                address = str(self._cidr[low + (start - low + step) % (high - low)])
                is_worth_a_try = not self._claims.is_known(address) and not self._reserved.address_owner(address)
                if is_worth_a_try and await self._take(taking, address):
                    return address
        raise errors.ApiError(500, "InternalError", f"Internal error occurred: failed to allocate a serviceIP for "
                              f"{name_of(taking.obj)!r}: range is full")

    async def _fill_ports(self, taking: "_Taking") -> None:
        spec = taking.obj["spec"]
        mine = set(node_ports(taking.old["spec"])) if taking.old is not None else set()
        if needs_node_ports(spec):
            for index, port in enumerate(spec.get("ports") or ()):
                await self._fill_port(taking, index, port, mine)
        if needs_health_port(spec):
            if named := spec.get("healthCheckNodePort"):
                await self._named_port(taking, ("TCP", named), "spec.healthCheckNodePort", mine)
            else:
                spec["healthCheckNodePort"] = await self._free_port(taking, "TCP")

    async def _fill_port(self, taking: "_Taking", index: int, port: Object, mine: set[tuple[str, int]]) -> None:
        protocol, wanted = port.get("protocol", "TCP"), port.get("nodePort")
        if not wanted:
            sibling = next((p.get("nodePort") for p in taking.obj["spec"]["ports"][:index]
                            if p.get("port") == port.get("port") and p.get("nodePort")), None)
            if sibling and await self._take(taking, (protocol, sibling)):
                port["nodePort"] = sibling
            else:
                port["nodePort"] = await self._free_port(taking, protocol)
            return
        await self._named_port(taking, (protocol, wanted), f"spec.ports[{index}].nodePort", mine)

    async def _named_port(self, taking: "_Taking", port: tuple[str, int], field: str, mine: set[tuple[str, int]]) -> None:
        if port in mine:
            return
        (protocol, wanted), (low, high) = port, self._ports
        why = ""
        if not low <= wanted <= high:
            why = f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
        elif owner := self._reserved.port_owner(protocol, wanted):
            why = f"provided port is reserved for {owner}"
        elif not await self._take(taking, port):
            why = "provided port is already allocated"
        if why:
            cause = errors.cause("FieldValueInvalid", field, f"Invalid value: {wanted}: {why}")
            raise errors.invalid("", "Service", name_of(taking.obj), [cause])

    def _is_worth_a_try(self, taking: "_Taking", number: int) -> bool:
        """No protocol has it: who looks at numbers only is not misled."""
        return not any(
            (protocol, number) in taking.tried or self._claims.is_known((protocol, number))
            or self._reserved.port_owner(protocol, number) for protocol in PROTOCOLS)

    async def _free_port(self, taking: "_Taking", protocol: str) -> int:
        low, high = self._ports
        start = random.randrange(high - low + 1)
        for step in range(high - low + 1):
            number = low + (start + step) % (high - low + 1)
            if self._is_worth_a_try(taking, number) and await self._take(taking, (protocol, number)):
                return number
        raise errors.ApiError(500, "InternalError", "Internal error occurred: failed to allocate a nodePort: range is full")


class _Taking:
    """What one write has taken so far, and what it has tried."""

    def __init__(self, obj: Object, old: Object | None, is_dry_run: bool) -> None:
        self.obj, self.old, self.is_dry_run = obj, old, is_dry_run
        self.claims: list[Claim] = []
        self.tried: set[Value] = set()
