"""Addresses for networks and clusters of tests.

Out:   ranges of 10.0.0.0/8 that no other process of this machine's tests has and no link here reaches. The tables of a cluster drop
       what goes to a Service address nobody has, whoever sends it: two tests that share addresses fail by chance.
"""

import secrets
import socket
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

FIRST, COUNT = 100, 140  # the second number of an address; the defaults (10.96, 10.244) and the README's are outside
_held: list[socket.socket] = []


def own_range() -> IPv4Network:
    """A /16 that is this process's until it ends: an abstract socket of its name is the claim, which the kernel takes back.
    RuntimeError when there is none left."""
    routed, start = _routed(), secrets.randbelow(COUNT)
    for number in (FIRST + (start + step) % COUNT for step in range(COUNT)):
        if number in routed:
            continue
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0wherry-test-range-{number}")
        except OSError:
            claim.close()
            continue
        _held.append(claim)
        return IPv4Network(f"10.{number}.0.0/16")
    raise RuntimeError(f"none of the {COUNT} ranges from 10.{FIRST}.0.0/16 on is free: end what other test runs left")


def cluster_ranges() -> tuple[str, str]:
    """Pod and Service addresses of a cluster, which nobody else has."""
    pods, services = own_range().subnets()
    return f"{pods.network_address}/24", str(services)


def some_subnet(prefix: int = 24) -> IPv4Network:
    """A part of the range that all networks of this process share, by chance."""
    whole = _shared()
    step: int = 2 ** (32 - prefix)
    return IPv4Network((int(whole.network_address) + secrets.randbelow(2 ** (prefix - whole.prefixlen)) * step, prefix))


def _routed() -> set[int]:
    """The second numbers of those that a link of this machine reaches (proc_net: destinations in hexadecimal, last byte first)."""
    lines = Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]
    ends = [bytes.fromhex(line.split()[1])[::-1] for line in lines]
    return {end[1] for end in ends if end[0] == 10}


@cache
def _shared() -> IPv4Network:
    return own_range()
