"""Render the sandbox network as one nftables table: masquerade on the way out, ports of the machine to sandboxes.

In:    settings and the ports that are open (values).
Out:   text for `nft.load`. The chains are constant; ports are map elements, so opening one costs one element.
Spec:  nft(8). Port semantics are those of the CNI portmap plugin: every local address, the machine itself included.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from wherry.infrastructure.network import nft
from wherry.infrastructure.network.settings import NetworkSettings


@dataclass(frozen=True, slots=True)
class PortForward:
    """A port of the machine that leads to a port of a sandbox. `host_ip` "" or "0.0.0.0": every local address."""

    protocol: str  # tcp | udp | sctp
    container_port: int
    host_port: int
    host_ip: str = ""


def render(settings: NetworkSettings, open_ports: Iterable[tuple[IPv4Address, tuple[PortForward, ...]]] = ()) -> str:
    """The whole table, replacing what is loaded."""
    stay = ", ".join(str(network) for network in settings.not_masqueraded)
    table = settings.table
    elements = "".join(open_port_text(settings, address, ports) for address, ports in open_ports)
    links = f'"{settings.link_prefix}*"'
    return f"""table ip {table} {{}}
delete table ip {table}
table ip {table} {{
  map any_ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map ip_ports {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
  set hairpin {{ type ipv4_addr . ipv4_addr; }}
  set from_loopback {{ type ipv4_addr; }}
  set reserved_addresses {{ type ipv4_addr;{_elements(map(str, settings.reserved.plain_addresses()))} }}
  set reserved_ports {{ type inet_proto . inet_service;{_elements(_ports_reserved(settings))} }}
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname {links} ip daddr 127.0.0.0/8 drop
  }}
  chain ports {{
    ip daddr @reserved_addresses return
    meta l4proto . th dport @reserved_ports return
    dnat ip to ip daddr . meta l4proto . th dport map @ip_ports
    dnat ip to meta l4proto . th dport map @any_ports
  }}
  chain prerouting {{
    type nat hook prerouting priority -95; policy accept;
    fib daddr type local jump ports
  }}
  chain output {{
    type nat hook output priority -95; policy accept;
    fib daddr type local jump ports
  }}
  chain postrouting {{
    type nat hook postrouting priority 105; policy accept;
    ip saddr . ip daddr @hairpin masquerade
    ip saddr 127.0.0.0/8 ip daddr @from_loopback masquerade
    oifname {links} return
    ip saddr {settings.addresses} ip daddr != {{ {stay} }} masquerade fully-random
  }}
}}
{elements}"""


def open_port_text(settings: NetworkSettings, address: IPv4Address, ports: tuple[PortForward, ...]) -> str:
    """Add what leads to `address`. Refused by the kernel as a whole when a port is taken."""
    if not ports:
        return ""
    table = settings.table
    plain = [f"{p.protocol} . {p.host_port} : {address} . {p.container_port}" for p in ports if not _bound(p)]
    bound = [f"{p.host_ip} . {p.protocol} . {p.host_port} : {address} . {p.container_port}" for p in ports if _bound(p)]
    return (
        nft.add_elements(table, "any_ports", plain)
        + nft.add_elements(table, "ip_ports", bound)
        + nft.add_elements(table, "hairpin", [f"{address} . {address}"])
        + nft.add_elements(table, "from_loopback", [str(address)])
    )


def close_port_text(settings: NetworkSettings, address: IPv4Address, ports: tuple[PortForward, ...]) -> str:
    """Take away what `open_port_text` added."""
    if not ports:
        return ""
    table = settings.table
    plain = [f"{p.protocol} . {p.host_port}" for p in ports if not _bound(p)]
    bound = [f"{p.host_ip} . {p.protocol} . {p.host_port}" for p in ports if _bound(p)]
    return (
        nft.delete_elements(table, "any_ports", plain)
        + nft.delete_elements(table, "ip_ports", bound)
        + nft.delete_elements(table, "hairpin", [f"{address} . {address}"])
        + nft.delete_elements(table, "from_loopback", [str(address)])
    )


def _ports_reserved(settings: NetworkSettings) -> list[str]:
    return [f"{protocol} . {port}" for protocol, port in sorted({(r.protocol, r.port) for r in settings.reserved.ports})]


def _elements(keys: Iterable[str]) -> str:
    joined = ", ".join(keys)
    return f" elements = {{ {joined} }}" if joined else ""


def _bound(port: PortForward) -> bool:
    return port.host_ip not in ("", "0.0.0.0")
