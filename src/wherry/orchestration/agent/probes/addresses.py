"""Where a probe or hook of a pod may go: anywhere but what only this machine itself reaches.

In:    the host a handler names; whether the pod shares the machine's network (then the machine's loopback is its own).
Out:   the addresses to dial, or `Forbidden`. A name is looked up once, so that what was judged is what is dialled.
Spec:  CVE-2020-8555's lesson, and apimachinery's IsProxyableIP: loopback, link-local (metadata services), multicast.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult

from wherry.kit.errors import Forbidden


async def addresses_of(host: str, *, is_host_network: bool) -> tuple[str, ...]:
    """The addresses of `host`. Raise `Forbidden` when one of them is the machine's own affair; `OSError` for unknown names."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    found = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
    if not is_host_network:
        for text in found:
            if not is_reachable(text):
                raise Forbidden(f"host {host!r} is {text}, which only the node itself may reach")
    return found


def is_reachable(text: str) -> bool:
    """Neither loopback nor this host, neither link-local nor multicast; IPv4 in IPv6 counts as IPv4."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return not (address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast)


class Pinned(AbstractResolver):
    """Answers with addresses that were looked up and judged before."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0, flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is held."""
