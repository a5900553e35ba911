"""Settings of the gateway: what it binds, where its sockets are, how long it waits.

Made by assembly from the cluster's settings; tests make their own.
"""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Ports are TCP ports of the machine. Port 80 and 443 of listeners are bound at `http_port` and `https_port`."""

    run_dir: Path  # holds xds.sock and Envoy's admin socket; only root may enter
    taken_file: Path | None = None  # routes as Envoy last took them, for the next control plane; None: it begins with nothing
    addresses: tuple[str, ...] = ()  # written into statuses: where clients reach the gateway
    http_port: int = 80
    https_port: int = 443
    ready_port: int = 19003  # on loopback: answers 200 once Envoy has its first configuration
    reserved_ports: frozenset[int] = frozenset({22})  # listeners may not have them
    bind_address: str = "0.0.0.0"  # noqa: S104 - a gateway is for clients outside
    namespace: str = "wherry-system"
    image: str = "wherry.local/envoy:1.40"
    manages_envoy: bool = True  # False: somebody else runs Envoy, as in tests
    coalesce_s: float = 0.01  # changes that come together become one update
    ack_timeout_s: float = 5.0  # an Envoy that does not confirm in time is not waited for
    cluster_removal_delay_s: float = 60.0  # requests under way keep their backend
    connect_timeout_s: float = 5.0
    drain_s: int = 10  # how long Envoy serves on after its pod was told to end
    access_log: bool = False  # JSON lines on Envoy's stdout
    concurrency: int = 0  # Envoy's worker threads; 0: what its CPU limit allows
    labels: dict[str, str] = field(default_factory=dict)  # more labels for the workload's objects

    @property
    def xds_socket(self) -> Path:
        """Where Envoy asks for its configuration."""
        return self.run_dir / "xds.sock"

    @property
    def admin_socket(self) -> Path:
        """Envoy's own administration, for this machine's root only."""
        return self.run_dir / "admin.sock"

    def bound_port(self, port: int) -> int:
        """The machine's port for a listener's port."""
        return {80: self.http_port, 443: self.https_port}.get(port, port)

    @property
    def unlisted_ports(self) -> frozenset[int]:
        """Ports no listener may name: the machine's, Envoy's own, and those that listeners 80 and 443 are bound at."""
        return self.reserved_ports | {self.ready_port} | ({self.http_port, self.https_port} - {80, 443})
