"""What the sandbox network of one cluster on this machine is made of."""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from wherry.kit.reserved import Reserved

NAME_CHARACTERS_MAX = 8


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """`cluster` (1-8 of [a-z0-9]) is part of every link and table name, so that clusters coexist on one machine."""

    cluster: str
    journal: Path  # who holds which address; survives this process, may be lost with a reboot
    addresses: IPv4Network = IPv4Network("10.244.0.0/24")  # for the sandboxes of this machine
    not_masqueraded: tuple[IPv4Network, ...] = (IPv4Network("10.244.0.0/16"), IPv4Network("10.96.0.0/16"))
    uplink: str = ""  # "": the link of the default route; its MTU is the sandboxes' MTU
    node_address: IPv4Address | None = None  # source of packets from the machine to sandboxes; None: the kernel chooses

    reserved: Reserved = Reserved()  # ports and addresses of the machine that never lead to a sandbox

    def __post_init__(self) -> None:
        named = self.cluster.isalnum() and self.cluster == self.cluster.lower()
        if not named or len(self.cluster) > NAME_CHARACTERS_MAX:
            raise ValueError(f"cluster {self.cluster!r} is not 1-{NAME_CHARACTERS_MAX} lower-case letters and digits")

    @property
    def table(self) -> str:
        """The one nftables table (family ip) of this package."""
        return f"wherry-{self.cluster}-net"

    @property
    def link_prefix(self) -> str:
        """What every link name of this cluster starts with: of one length, so that none is the beginning of another's.

        A link name has at most 15 characters, so it is a digest.
        """
        return "w" + hashlib.sha256(self.cluster.encode()).hexdigest()[:6]

    @property
    def node_link(self) -> str:
        """The link that holds the machine's extra addresses."""
        return f"{self.link_prefix}-node"
