"""Plain routes to the sandboxes of other machines: their range by their address, on the link that reaches it.

In:    range -> address of the machine that has it.
Out:   exactly these routes, marked as ours (rtm_protocol); `Invalid` names machines that no link reaches directly.
Lives: routes outlive this process; `ensure({})` takes them away.
"""

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

from wherry.infrastructure.linux import netlink
from wherry.kit.errors import Invalid

PROTOCOL = 87  # above what /etc/iproute2/rt_protos names for others


async def ensure(wanted: Mapping[IPv4Network, IPv4Address], *, within: IPv4Network) -> None:
    """Exactly these from here on, of all of ours inside `within`. Idempotent.

    Raise `Invalid` naming the machines that are behind a router; the other routes are laid."""
    await asyncio.to_thread(_ensure, dict(wanted), within)


def present() -> frozenset[IPv4Network]:
    """The ranges that routes of ours lead to, of any cluster on this machine."""
    with netlink.open_socket() as door:
        return frozenset(route.destination for route in netlink.routes(door) if route.protocol == PROTOCOL)


def _ensure(wanted: dict[IPv4Network, IPv4Address], within: IPv4Network) -> None:
    with netlink.open_socket() as door:
        table = netlink.routes(door)
        own = [route for route in table if route.protocol == PROTOCOL and route.destination.subnet_of(within)]
        requests = [
            netlink.delete_route(route.link_index, route.destination, gateway=route.gateway, protocol=PROTOCOL)
            for route in own if wanted.get(route.destination) != route.gateway
        ]
        there = {route.destination: route.gateway for route in own}
        far = []
        for destination, gateway in wanted.items():
            if there.get(destination) == gateway:
                continue
            link = link_to(gateway, table)
            if link is None:
                far.append(str(gateway))
            else:
                requests.append(netlink.add_route(link, destination, gateway=gateway, protocol=PROTOCOL))
        netlink.carry_out(door, requests)
    if far:
        raise Invalid(f"no link of this machine reaches {', '.join(far)} directly: nodes must be in one network")


def link_to(address: IPv4Address, table: list[netlink.Route]) -> int | None:
    """The link on which `address` is a neighbour, by the narrowest route that has it."""
    found = [route for route in table if route.gateway is None and address in route.destination and route.destination.prefixlen]
    best = max(found, key=lambda route: route.destination.prefixlen, default=None)
    return None if best is None else best.link_index
