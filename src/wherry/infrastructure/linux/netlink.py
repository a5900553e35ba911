"""rtnetlink, as much of it as links, addresses, routes and neighbours need; many requests in one send.

In:    messages built by the functions below (immutable bytes without sequence number).
Out:   acknowledgements; the first refusal is an `OSError` that names the request.
Spec:  rtnetlink(7), linux/rtnetlink.h, if_link.h, neighbour.h. All integers are in host order, addresses in network order.
Cost:  a veth pair with addresses, routes and neighbours is 7 requests in 2 sends: about 1 ms (bench/container_start.py);
       pyroute2 took 14-19 ms and 100 ms of import for the same, which is why it is not used here.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

NEW_LINK, DEL_LINK, GET_LINK, SET_LINK = 16, 17, 18, 19
NEW_ADDR, DEL_ADDR, GET_ADDR = 20, 21, 22
NEW_ROUTE, DEL_ROUTE, GET_ROUTE = 24, 25, 26
NEW_NEIGH = 28
REQUEST, ACK, DUMP, REPLACE, EXCLUSIVE, CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400
ERROR, DONE = 2, 3
IFF_UP, IFF_LOOPBACK = 1, 8
SCOPE_UNIVERSE, SCOPE_LINK, SCOPE_HOST = 0, 253, 254
TABLE_MAIN = 254
PROTOCOL_STATIC = 4
NEIGHBOUR_PERMANENT = 0x80
RECEIVE_BYTES = 1 << 18
REPLY_TIMEOUT_S = 10.0

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_STATS64, IFLA_NET_NS_FD = 1, 3, 4, 18, 23, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
NDA_DST, NDA_LLADDR = 1, 2


@dataclass(frozen=True, slots=True)
class Request:
    """One message; `about` is for the error text."""

    kind: int
    flags: int
    body: bytes
    about: str


@dataclass(frozen=True, slots=True)
class Link:
    """An interface."""

    index: int
    name: str
    mtu: int
    is_up: bool


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What went through a link since it was made. `kind` is the driver's ("veth", "bridge"; "" for hardware)."""

    name: str
    kind: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the main table. `destination` 0.0.0.0/0 is the default."""

    destination: IPv4Network
    link_index: int
    gateway: IPv4Address | None
    protocol: int = PROTOCOL_STATIC


def open_socket() -> socket.socket:
    """A socket in the calling thread's network namespace."""
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    found.bind((0, 0))
    found.settimeout(REPLY_TIMEOUT_S)
    return found


def carry_out(door: socket.socket, requests: Sequence[Request]) -> None:
    """Send all, read all acknowledgements, raise the first refusal. Later requests are still carried out by the kernel."""
    if not requests:
        return
    packets = [
        struct.pack("=IHHII", 16 + len(r.body), r.kind, r.flags | REQUEST | ACK, number, 0) + r.body
        for number, r in enumerate(requests, start=1)
    ]
    door.send(b"".join(packets))
    waiting = set(range(1, len(requests) + 1))
    refused: dict[int, int] = {}
    while waiting:
        for kind, number, body in _messages(door.recv(RECEIVE_BYTES)):
            if kind == ERROR and number in waiting:
                waiting.discard(number)
                code = -struct.unpack_from("=i", body)[0]
                if code:
                    refused[number] = code
    if refused:
        first = min(refused)
        raise OSError(refused[first], os.strerror(refused[first]), requests[first - 1].about)


def add_veth(name: str, mac: bytes, peer: str, peer_mac: bytes, peer_namespace_fd: int, mtu: int) -> Request:
    """A pair whose peer is born in another namespace. Both are down: veth refuses to be born up."""
    inner = (
        _link_header(0, 0, 0)
        + _text(IFLA_IFNAME, peer)
        + _attribute(IFLA_ADDRESS, peer_mac)
        + _number(IFLA_MTU, mtu)
        + _number(IFLA_NET_NS_FD, peer_namespace_fd)
    )
    info = _text(IFLA_INFO_KIND, "veth") + _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, inner))
    body = (
        _link_header(0, 0, 0)
        + _text(IFLA_IFNAME, name)
        + _attribute(IFLA_ADDRESS, mac)
        + _number(IFLA_MTU, mtu)
        + _attribute(IFLA_LINKINFO, info)
    )
    return Request(NEW_LINK, CREATE | EXCLUSIVE, body, f"link {name}")


def add_link(name: str, kind: str) -> Request:
    """A link of a kind that needs no further data (dummy, bridge), up."""
    body = _link_header(0, IFF_UP, IFF_UP) + _text(IFLA_IFNAME, name)
    return Request(NEW_LINK, CREATE | EXCLUSIVE, body + _attribute(IFLA_LINKINFO, _text(IFLA_INFO_KIND, kind)), f"link {name}")


def set_up(name: str) -> Request:
    return Request(NEW_LINK, 0, _link_header(0, IFF_UP, IFF_UP) + _text(IFLA_IFNAME, name), f"link {name} up")


def delete_link(name: str) -> Request:
    return Request(DEL_LINK, 0, _link_header(0, 0, 0) + _text(IFLA_IFNAME, name), f"link {name}")


def add_address(index: int, address: IPv4Address, *, scope: int = SCOPE_UNIVERSE) -> Request:
    """`address`/32 on a link."""
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, scope, index)
    body += _attribute(IFA_LOCAL, address.packed) + _attribute(IFA_ADDRESS, address.packed)
    return Request(NEW_ADDR, CREATE | REPLACE, body, f"address {address}")


def delete_address(index: int, address: IPv4Address) -> Request:
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, index) + _attribute(IFA_LOCAL, address.packed)
    return Request(DEL_ADDR, 0, body, f"address {address}")


def add_route(
    index: int, destination: IPv4Network, *, gateway: IPv4Address | None = None, source: IPv4Address | None = None,
    protocol: int = PROTOCOL_STATIC,
) -> Request:
    """A route by link, in place of any other to the same destination. `protocol`: who laid it (rtm_protocol)."""
    scope = SCOPE_UNIVERSE if gateway else SCOPE_LINK
    body = _route(index, destination, scope, gateway, source, protocol)
    return Request(NEW_ROUTE, CREATE | REPLACE, body, f"route {destination}")


def delete_route(
    index: int, destination: IPv4Network, *, gateway: IPv4Address | None = None, protocol: int = PROTOCOL_STATIC
) -> Request:
    scope = SCOPE_UNIVERSE if gateway else SCOPE_LINK
    return Request(DEL_ROUTE, 0, _route(index, destination, scope, gateway, None, protocol), f"route {destination}")


def add_neighbour(index: int, address: IPv4Address, mac: bytes) -> Request:
    """A permanent ARP entry, so that no packet waits for an answer."""
    body = struct.pack("=BxxxiHBB", socket.AF_INET, index, NEIGHBOUR_PERMANENT, 0, 0)
    body += _attribute(NDA_DST, address.packed) + _attribute(NDA_LLADDR, mac)
    return Request(NEW_NEIGH, CREATE | REPLACE, body, f"neighbour {address}")


def links(door: socket.socket) -> list[Link]:
    """All links of the namespace."""
    found = []
    for body in _dump(door, GET_LINK, _link_header(0, 0, 0)):
        index, flags = struct.unpack_from("=4xiI", body)
        values = dict(_attributes(body[16:]))
        mtu = struct.unpack("=I", values[IFLA_MTU])[0]
        found.append(Link(index, values[IFLA_IFNAME].rstrip(b"\0").decode(), mtu, bool(flags & IFF_UP)))
    return found


def counters(door: socket.socket) -> list[LinkCounters]:
    """The links of the namespace but loopback. `rx_dropped` counts what /proc/net/dev does: the missed ones too."""
    found = []
    for body in _dump(door, GET_LINK, _link_header(0, 0, 0)):
        values = dict(_attributes(body[16:]))
        if struct.unpack_from("=8xI", body)[0] & IFF_LOOPBACK or IFLA_STATS64 not in values:
            continue
        kind = dict(_attributes(values.get(IFLA_LINKINFO, b""))).get(IFLA_INFO_KIND, b"")
        # struct rtnl_link_stats64, linux/if_link.h
        rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped = struct.unpack_from(
            "=8Q", values[IFLA_STATS64]
        )
        missed = struct.unpack_from("=Q", values[IFLA_STATS64], 15 * 8)[0]
        found.append(LinkCounters(
            # A workload names links in its own namespace as it likes, not only in UTF-8.
            values[IFLA_IFNAME].rstrip(b"\0").decode(errors="replace"), kind.rstrip(b"\0").decode(),
            rx_bytes, rx_packets, rx_errors, rx_dropped + missed, tx_bytes, tx_packets, tx_errors, tx_dropped,
        ))  # fmt: skip
    return found


def link_index(door: socket.socket, name: str) -> int | None:
    """The index of a link, or None. Asks for that one link: a dump grows with every sandbox of the machine."""
    body = _link_header(0, 0, 0) + _text(IFLA_IFNAME, name)
    door.send(struct.pack("=IHHII", 16 + len(body), GET_LINK, REQUEST, 1, 0) + body)
    for kind, _, payload in _messages(door.recv(RECEIVE_BYTES)):
        if kind == NEW_LINK:
            return int(struct.unpack_from("=4xi", payload)[0])
        code = -struct.unpack_from("=i", payload)[0]
        if code != errno.ENODEV:
            raise OSError(code, os.strerror(code), f"link {name}")
    return None


def addresses(door: socket.socket, index: int) -> list[IPv4Address]:
    """The IPv4 addresses of one link."""
    found = []
    for body in _dump(door, GET_ADDR, struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0)):
        if struct.unpack_from("=4xI", body)[0] == index:
            found.append(IPv4Address(dict(_attributes(body[8:]))[IFA_LOCAL]))
    return found


def routes(door: socket.socket) -> list[Route]:
    """The IPv4 routes of the main table."""
    found = []
    for body in _dump(door, GET_ROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
        _, length, _, _, table, protocol = struct.unpack_from("=BBBBBB", body)
        values = dict(_attributes(body[12:]))
        if table != TABLE_MAIN or RTA_OIF not in values:
            continue
        start = IPv4Address(values.get(RTA_DST, bytes(4)))
        gateway = IPv4Address(values[RTA_GATEWAY]) if RTA_GATEWAY in values else None
        found.append(Route(IPv4Network((start, length)), struct.unpack("=I", values[RTA_OIF])[0], gateway, protocol))
    return found


def _dump(door: socket.socket, kind: int, body: bytes) -> Iterator[bytes]:
    door.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST | DUMP, 1, 0) + body)
    while True:
        for got, _, payload in _messages(door.recv(RECEIVE_BYTES)):
            if got == DONE:
                return
            if got == ERROR:
                code = -struct.unpack_from("=i", payload)[0]
                raise OSError(code, os.strerror(code or errno.EIO), f"dump {kind}")
            yield payload


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 0
    while position + 16 <= len(data):
        length, kind, _, number, _ = struct.unpack_from("=IHHII", data, position)
        yield kind, number, data[position + 16 : position + length]
        position += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4:
            return
        yield kind & 0x3FFF, data[position + 4 : position + length]
        position += (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    data = struct.pack("=HH", 4 + len(value), kind) + value
    return data + bytes(-len(data) % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _link_header(index: int, flags: int, change: int) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def _route(
    index: int, destination: IPv4Network, scope: int, gateway: IPv4Address | None, source: IPv4Address | None,
    protocol: int = PROTOCOL_STATIC,
) -> bytes:
    body = struct.pack(
        "=BBBBBBBBI", socket.AF_INET, destination.prefixlen, 0, 0, TABLE_MAIN, protocol, scope, 1, 0
    )
    if destination.prefixlen:
        body += _attribute(RTA_DST, destination.network_address.packed)
    if gateway:
        body += _attribute(RTA_GATEWAY, gateway.packed)
    if source:
        body += _attribute(RTA_PREFSRC, source.packed)
    return body + _number(RTA_OIF, index)
