"""Where this machine's IPv4 routes lead, from the text of /proc/net/route.

In:    the table's text.
Out:   routes with their link; the default route, which leads everywhere, is left out.
Spec:  proc(5); addresses and masks are hexadecimal in the machine's byte order.
"""

import sys
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network


@dataclass(frozen=True, slots=True)
class Route:
    """Packets for `to` leave through `link`."""

    link: str
    to: IPv4Network


def table(text: str) -> tuple[Route, ...]:
    """The routes of the main table."""
    rows = (line.split() for line in text.splitlines()[1:])
    found = (Route(row[0], IPv4Network((_address(row[1]), str(_address(row[7]))))) for row in rows if len(row) > 7)
    return tuple(route for route in found if route.to.prefixlen)


def _address(text: str) -> IPv4Address:
    return IPv4Address(int.from_bytes(bytes.fromhex(text), sys.byteorder))
