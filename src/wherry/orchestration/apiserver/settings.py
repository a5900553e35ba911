"""Everything about the API server that may be chosen, with unit, default and reason."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from wherry.kit.reserved import Reserved


@dataclass(frozen=True, slots=True)
class ApiServerSettings:
    """See the comment at each field; the defaults are a one-machine cluster's."""

    service_cidr: IPv4Network = IPv4Network("10.96.0.0/16")
    node_ports: tuple[int, int] = (30000, 32767)  # inclusive, upstream's default range
    advertise_address: IPv4Address = IPv4Address("127.0.0.1")  # endpoint of Service default/kubernetes
    advertise_port: int = 6443
    cluster_domain: str = "cluster.local"
    encryption_key: bytes = b""  # 32 bytes of AES-256; b"": Secrets are stored in the clear (memory stores only)
    body_bytes_max: int = 3 * 1024 * 1024  # upstream's limit of a request body
    watch_timeout_s: float = 1800.0  # a watch without timeoutSeconds ends after 1 to 2 times this, as upstream's
    watch_stall_s: float = 30.0  # of a client that takes nothing of its watch; it may hold 1 to 2 MiB so long
    bookmark_period_s: float = 60.0
    request_timeout_s: float = 60.0  # non-streaming requests
    seats: int = 128  # requests of all users at work at once, on one event loop
    user_seats: int = 16  # of one user
    user_waiting_max: int = 512  # more of one user are answered with 429
    compaction_period_s: float = 300.0  # history kept for watches and continue tokens: 1 to 2 periods
    event_ttl_s: float = 3600.0  # Events vanish this long after their last write
    reserved: Reserved = Reserved()  # ports and addresses no workload gets
    allows_external_ips: bool = False  # False: upstream's admission plugin DenyServiceExternalIPs is on
    unenforced_policies: str = "refuse"  # what restricts access and has no effect here (NetworkPolicy); or "warn"
    is_store_shared: bool = False  # True: other processes write too (etcd), so fresh reads ask the store

    @property
    def kubernetes_service_ip(self) -> IPv4Address:
        """The first address of the service range."""
        return self.service_cidr[1]

    @property
    def dns_service_ip(self) -> IPv4Address:
        """The tenth address of the service range, reserved for cluster DNS."""
        return self.service_cidr[10]
