"""What one machine is in its cluster: roles, address, ports, limits, and where everything of it lies.

In:    flags of the first `wherry up` or of `wherry join`.
Out:   `NodeSettings`, frozen, kept in `<data dir>/node.json`; every path and name on this machine derives from it.
"""

import hashlib
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from wherry.assembly.cluster import ClusterSettings
from wherry.kit.errors import Invalid

SERVER, WORKER, GATEWAY = "server", "worker", "gateway"
ROLES = (SERVER, WORKER, GATEWAY)
REGISTRY_NAME = "registry.wherry.local"  # the cluster's own registry, as nodes and builds know it
SERVER_NAME = "kubernetes"  # in every API server's certificate, by whatever address it is reached, and in no other
PORTS = ("api_port", "node_port", "registry_port", "gateway_http_port", "gateway_https_port")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node. Ports are TCP. `cluster`: what the cluster's nodes share, as this one knows it."""

    data_dir: Path
    cluster: ClusterSettings = ClusterSettings()
    roles: tuple[str, ...] = ROLES
    without: tuple[str, ...] = ()  # components of these roles that do not run here, because another stands in their place
    api_servers: tuple[str, ...] = ()  # host:port of the API servers; (): it is on this node
    node_name: str = field(default_factory=lambda: socket.gethostname().lower())
    node_address: str = ""  # "": the address of the default route, else the dummy link's
    api_port: int = 6443
    node_port: int = 10250  # the node agent's API, upstream's kubelet port
    registry_port: int = 5050
    gateway_http_port: int = 80
    gateway_https_port: int = 443
    backup_hours: float = 6.0  # between automatic copies of the store
    backups_kept: int = 12  # three days of them
    reserved_ports: str = "22,53"  # of this machine, TCP and UDP: no workload gets them (ssh, the machine's resolver)
    listen_addresses: str = ""  # of API, agent and registry; "": loopback and the node's address; 0.0.0.0 is every one
    pod_log_dir: str = "/var/log/pods"  # where log collectors look; clusters may share it
    container_log_dir: str = "/var/log/containers"  # links into it
    pod_pids_max: int = 4096  # processes and threads of one pod; 0: not limited
    node_pids_max: int = 0  # of all pods together; 0: nine tenths of what the kernel allows
    oom_score_adj: int = -999  # of Wherry's own processes, upstream's for a kubelet
    log_bytes_max: int = 10 * 1024 * 1024  # of one process's log, then it is rotated
    log_files_max: int = 5  # with the live one
    build_memory_bytes: int = 0  # of one build; 0: half of the machine's memory
    build_milli_cpus: int = 0  # of one build; 0: three quarters of the machine's
    build_pids_max: int = 4096

    @property
    def id(self) -> str:
        """Eight hex digits that tell clusters on one machine apart: in names of links, tables, cgroups and sockets."""
        return hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:8]

    @property
    def gateway(self) -> bool:
        """The API gateway runs here."""
        return GATEWAY in self.roles

    @property
    def run_dir(self) -> Path:
        """Sockets, locks, namespaces: gone after a reboot."""
        return Path(f"/run/wherry-{self.id}")

    @property
    def registry_host(self) -> str:
        """The name under which nodes and builds know the cluster's own registry."""
        return f"{REGISTRY_NAME}:{self.registry_port}"

    @property
    def api_url(self) -> str:
        """The API server, as this node reaches it."""
        return f"https://{self.api_servers[0]}" if self.api_servers else f"https://127.0.0.1:{self.api_port}"

    @property
    def is_joined(self) -> bool:
        """The cluster's authority is on another node."""
        return SERVER not in self.roles

    @property
    def authority_dir(self) -> Path:
        """Signing keys; only where the server runs."""
        return self.data_dir / "pki"

    @property
    def identity_dir(self) -> Path:
        """What this node's processes prove themselves with."""
        return self.data_dir / "identity"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def content_dir(self) -> Path:
        return self.data_dir / "content"

    @property
    def database(self) -> Path:
        return self.data_dir / "state.db"

    @property
    def backup_dir(self) -> Path:
        return self.data_dir / "backups"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.data_dir / "admin.conf"

    @property
    def xds_socket(self) -> Path:
        return self.run_dir / "gateway" / "xds.sock"


def check(settings: NodeSettings) -> None:
    """Raise `Invalid` naming the field, the value and the mend."""
    ports = {name: getattr(settings, name) for name in PORTS}
    for name, port in ports.items():
        if not 1 <= port <= 65535:
            raise Invalid(f"--{name.replace('_', '-')}: {port} is not a port; give a number from 1 to 65535")
    if len(set(ports.values())) != len(ports):
        raise Invalid(f"two ports are the same: {', '.join(f'{n}={p}' for n, p in ports.items())}")
    if settings.node_name.partition(".")[0] == SERVER_NAME:
        raise Invalid(f"--node-name: {settings.node_name!r} is the API server's name in its certificate; choose another")
    if unknown := set(settings.roles) - set(ROLES):
        raise Invalid(f"roles {sorted(unknown)} are not known; one of {', '.join(ROLES)}")
    if settings.backup_hours <= 0 or settings.backups_kept < 1:
        raise Invalid("--backup-hours must be above 0 and --backups-kept at least 1")
    port_list(settings.reserved_ports)
    address_list(settings.listen_addresses)
    if settings.node_address:
        try:
            IPv4Address(settings.node_address)
        except ValueError as error:
            raise Invalid(f"--node-address: {error}") from error


def port_list(text: str) -> tuple[int, ...]:
    """The ports of a comma-separated list. Raise `Invalid` naming the word that is none."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if not word.isdigit() or not 1 <= int(word) <= 65535:
            raise Invalid(f"{word!r} is not a port; give numbers from 1 to 65535, such as 22,53")
    return tuple(int(word) for word in words)


def address_list(text: str) -> tuple[str, ...]:
    """The addresses of a comma-separated list. Raise `Invalid` naming the word that is none."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words:
        try:
            ip_address(word)
        except ValueError as error:
            raise Invalid(f"--listen-addresses: {error}") from error
    return words
