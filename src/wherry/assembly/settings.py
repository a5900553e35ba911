"""The settings of one cluster: chosen at the first `wherry up`, kept in `<data dir>/cluster.json`, the same ever after.

In:    a data dir, flags.
Out:   `ClusterSettings`, frozen; every path, port and address range of the cluster derives from it.
Never: starts or changes anything but that one file.
"""

import contextlib
import hashlib
import json
import os
import socket
from dataclasses import asdict, dataclass, field, fields, replace
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any

from wherry.kit import atomic_file
from wherry.kit.errors import Invalid

DEFAULT_DATA_DIR = Path("/var/lib/wherry")
KNOWN_DIR = Path("/var/lib/wherry-clusters")  # a link to the data dir of each cluster, by its id
FILE = "cluster.json"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """One cluster. Ports are TCP; address ranges are IPv4 CIDRs that must not overlap each other."""

    data_dir: Path
    name: str = "wherry"  # of the kubeconfig context
    node_name: str = field(default_factory=lambda: socket.gethostname().lower())
    node_address: str = ""  # "": the address of the default route, else the dummy link's
    api_port: int = 6443
    node_port: int = 10250  # the node agent's API, upstream's kubelet port
    registry_port: int = 5050
    gateway_http_port: int = 80
    gateway_https_port: int = 443
    pod_cidr: str = "10.244.0.0/24"
    service_cidr: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    gateway: bool = True
    backup_hours: float = 6.0  # between automatic copies of the store
    backups_kept: int = 12  # three days of them
    reserved_ports: str = "22,53"  # of this machine, TCP and UDP: no workload gets them (ssh, the machine's resolver)
    listen_addresses: str = ""  # of API, agent and registry; "": loopback and the node's address; 0.0.0.0 is every one
    pod_log_dir: str = "/var/log/pods"  # where log collectors look; clusters may share it
    container_log_dir: str = "/var/log/containers"  # links into it
    pod_pids_max: int = 4096  # processes and threads of one pod; 0: not limited
    node_pids_max: int = 0  # of all pods together; 0: nine tenths of what the kernel allows
    oom_score_adj: int = -999  # of Wherry's own processes, upstream's for a kubelet
    log_bytes_max: int = 10 * 1024 * 1024  # of one component's log, then it is rotated
    log_files_max: int = 5  # with the live one
    build_memory_bytes: int = 0  # of one build; 0: half of the machine's memory
    build_milli_cpus: int = 0  # of one build; 0: three quarters of the machine's
    build_pids_max: int = 4096
    external_ips: bool = False  # may Services claim addresses by spec.externalIPs (CVE-2020-8554)
    unenforced_policies: str = "refuse"  # or "warn": a NetworkPolicy is stored without effect, with a warning

    @property
    def id(self) -> str:
        """Eight hex digits that tell clusters on one machine apart: in names of links, tables, cgroups and sockets."""
        return hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:8]

    @property
    def run_dir(self) -> Path:
        """Sockets, locks, namespaces: gone after a reboot."""
        return Path(f"/run/wherry-{self.id}")

    @property
    def dns_address(self) -> str:
        """Tenth address of the service range, as upstream's tools choose it."""
        return str(IPv4Network(self.service_cidr).network_address + 10)

    @property
    def kubernetes_address(self) -> str:
        """First address of the service range: the `kubernetes` Service."""
        return str(IPv4Network(self.service_cidr).network_address + 1)

    @property
    def registry_host(self) -> str:
        """The name under which nodes and builds know the cluster's own registry."""
        return f"registry.wherry.local:{self.registry_port}"

    @property
    def pki_dir(self) -> Path:
        return self.data_dir / "pki"

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


def check(settings: ClusterSettings) -> None:
    """Raise `Invalid` naming the field, the value and the mend."""
    ports = {
        name: getattr(settings, name)
        for name in ("api_port", "node_port", "registry_port", "gateway_http_port", "gateway_https_port")
    }
    for name, port in ports.items():
        if not 1 <= port <= 65535:
            raise Invalid(f"--{name.replace('_', '-')}: {port} is not a port; give a number from 1 to 65535")
    if len(set(ports.values())) != len(ports):
        raise Invalid(f"two ports are the same: {', '.join(f'{n}={p}' for n, p in ports.items())}")
    networks = {}
    for name in ("pod_cidr", "service_cidr"):
        try:
            networks[name] = IPv4Network(getattr(settings, name))
        except ValueError as error:
            raise Invalid(f"--{name.replace('_', '-')}: {error}; give an IPv4 range such as 10.244.0.0/24") from error
    if networks["pod_cidr"].overlaps(networks["service_cidr"]):
        raise Invalid(f"--pod-cidr {settings.pod_cidr} overlaps --service-cidr {settings.service_cidr}")
    if networks["service_cidr"].num_addresses < 32:
        raise Invalid(f"--service-cidr {settings.service_cidr} holds fewer than 32 addresses")
    if settings.backup_hours <= 0 or settings.backups_kept < 1:
        raise Invalid("--backup-hours must be above 0 and --backups-kept at least 1")
    port_list(settings.reserved_ports)
    address_list(settings.listen_addresses)
    if settings.unenforced_policies not in ("refuse", "warn"):
        raise Invalid(f"--unenforced-policies: {settings.unenforced_policies!r} is not one of refuse, warn")
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


def default_data_dir() -> Path:
    """Where a cluster is when no --data-dir says so: $WHERRY_DATA_DIR, else /var/lib/wherry."""
    return Path(os.environ.get("WHERRY_DATA_DIR") or DEFAULT_DATA_DIR)


def data_dir_flag(settings: ClusterSettings) -> str:
    """What a command needs behind it to mean this cluster, with a space before it; "" when it is the default one."""
    return "" if settings.data_dir == default_data_dir() else f" --data-dir {settings.data_dir}"


def exists(data_dir: Path) -> bool:
    """True when a cluster was made in `data_dir`."""
    return (data_dir / FILE).exists()


def load(data_dir: Path) -> ClusterSettings:
    """The settings of the cluster in `data_dir`. Raise `Invalid` when there is none or its file is not readable."""
    data_dir = Path(os.path.abspath(data_dir))  # the cluster's id is a digest of it
    path = data_dir / FILE
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Invalid(f"no cluster in {str(data_dir)!r}; start one with: wherry up --data-dir {data_dir}") from error
    except ValueError as error:
        raise Invalid(f"{path} is not readable JSON ({error}); restore it or run: wherry down --purge") from error
    known = {f.name for f in fields(ClusterSettings)} - {"data_dir"}
    if unknown := set(raw) - known:
        raise Invalid(f"{path}: unknown settings {sorted(unknown)}; written by a newer Wherry?")
    return ClusterSettings(data_dir=data_dir, **raw)


def remember(settings: ClusterSettings) -> None:
    """Note the cluster in the machine's list. Needs root."""
    link = KNOWN_DIR / settings.id
    while not link.is_symlink():
        KNOWN_DIR.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another cluster, the last on the list, was just taken off it
            link.symlink_to(settings.data_dir)


def forget(settings: ClusterSettings) -> None:
    """Take it off the list; the last one takes the list with it. Idempotent."""
    (KNOWN_DIR / settings.id).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are on it
        KNOWN_DIR.rmdir()


def known(*besides: Path) -> list[ClusterSettings]:
    """The clusters on the list and in `besides`, by data dir; what is damaged or was removed by hand is left out."""
    links = KNOWN_DIR.iterdir() if KNOWN_DIR.is_dir() else ()
    folders = {Path(os.path.abspath(folder)) for folder in (*(link.readlink() for link in links), *besides, default_data_dir())}
    found = []
    for folder in sorted(folders):
        if exists(folder):
            with contextlib.suppress(Invalid):
                found.append(load(folder))
    return found


def load_or_default(data_dir: Path) -> ClusterSettings:
    """The cluster's settings, or what they would be: images can be made before the first `wherry up`."""
    data_dir = Path(os.path.abspath(data_dir))
    return load(data_dir) if exists(data_dir) else ClusterSettings(data_dir=data_dir)


def load_or_create(data_dir: Path, given: dict[str, Any]) -> ClusterSettings:
    """The cluster's settings; at the first call they are made from `given` and kept.

    Later a flag that differs from what is kept raises `Invalid`: a running cluster does not move its ports.
    """
    data_dir = Path(os.path.abspath(data_dir))
    if exists(data_dir):
        kept = load(data_dir)
        for name, value in given.items():
            if getattr(kept, name) != value:
                raise Invalid(
                    f"the cluster in {data_dir} has {name}={getattr(kept, name)!r}, not {value!r}; "
                    "use another --data-dir, or wherry down --purge first"
                )
        return kept
    settings = replace(ClusterSettings(data_dir=data_dir), **given)
    check(settings)
    raw = asdict(settings)
    del raw["data_dir"]
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic_file.write(data_dir / FILE, json.dumps(raw, indent=2).encode() + b"\n")
    return settings
