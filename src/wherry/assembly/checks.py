"""What a machine needs to carry a cluster, as a list of findings, each with the command that mends it.

In:    the node's settings, this machine.
Out:   `Finding`s; nothing is changed.
"""

import os
import shutil
from ipaddress import IPv4Network
from pathlib import Path

from wherry.assembly import firewalls, supervisor
from wherry.assembly.components import PROCESSES, rows
from wherry.assembly.findings import Finding
from wherry.assembly.node import NodeSettings
from wherry.infrastructure.linux import listeners, routes
from wherry.infrastructure.linux.abilities import has_filesystem, has_module, port_free
from wherry.infrastructure.network import node_routes
from wherry.infrastructure.network.settings import NetworkSettings

DISK_FREE_BYTES_MIN = 2 * 1024**3
PROGRAMS = {  # program -> (Debian package, what for)
    "crun": ("crun", "runs containers"),
    "conmon": ("conmon", "keeps containers and their logs alive"),
    "nft": ("nftables", "routes Services"),
    "mkfs.ext4": ("e2fsprogs", "makes volumes"),
    "losetup": ("util-linux", "makes volumes"),
    "unshare": ("util-linux", "makes namespaces"),
}


def root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", True, "yes")
    return Finding("root", False, f"user id {os.geteuid()}; namespaces, mounts and nftables need root", "run it with sudo")


def programs() -> list[Finding]:
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    packages = sorted({PROGRAMS[name][0] for name in missing})
    mend = f"apt-get install -y {' '.join(packages)}"
    return [
        Finding(name, name not in missing, PROGRAMS[name][1], mend if name in missing else "") for name in PROGRAMS
    ]


def _path() -> str:
    # sbin is where mkfs and nft live and is not on every root's PATH
    return f"{os.environ.get('PATH', '')}:{os.environ.get('WHERRY_SYSTEM_PATH', '/usr/sbin:/sbin')}"


def ports(settings: NodeSettings) -> list[Finding]:
    """A port held by the cluster's own processes counts as free: they are adopted, or outlived a crash."""
    wanted = [(row.port.replace("_", "-"), int(getattr(settings, row.port))) for row in rows(settings) if row.port]
    if settings.gateway:
        wanted += [
            ("gateway-http-port", settings.gateway_http_port),
            ("gateway-https-port", settings.gateway_https_port),
        ]
    return [_port(settings, flag, port) for flag, port in wanted]


def _port(settings: NodeSettings, flag: str, port: int) -> Finding:
    if port_free(port):
        return Finding(f"port {port}", True, "free")
    found = listeners.on_port(port)
    own = {supervisor.holder(supervisor.lock_path(settings, name)) for name in PROCESSES}
    if found and all(listener.pid in own or f"wherry-{settings.id}" in listener.cgroups for listener in found):
        return Finding(f"port {port}", True, "held by this cluster")
    by = ", ".join(f"{listener.program} (pid {listener.pid})" for listener in found) or "another program"
    mend = f"stop what listens there (ss -ltnp sport = :{port}), or choose another with --{flag}"
    return Finding(f"port {port}", False, f"taken by {by}", mend)


def ranges(settings: NodeSettings) -> list[Finding]:
    """The address ranges must lead nowhere else on this machine; routes of the cluster's own links do not count."""
    own = NetworkSettings(settings.id, settings.run_dir).link_prefix
    table = routes.table(Path("/proc/net/route").read_text(encoding="ascii"))
    to_nodes = node_routes.present()  # of the pods of other nodes, as an earlier life of this one laid them
    others = [route for route in table if not route.link.startswith(own) and route.to not in to_nodes]
    wanted = (("pod-cidr", settings.cluster.pod_cidr), ("service-cidr", settings.cluster.service_cidr))
    return [_range(flag, IPv4Network(cidr), others) for flag, cidr in wanted]


def _range(flag: str, wanted: IPv4Network, others: list[routes.Route]) -> Finding:
    check = f"{flag} {wanted}"
    for route in others:
        if route.to.overlaps(wanted):
            taken = f"this machine reaches {route.to} through {route.link}"
            return Finding(check, False, taken, f"choose another range with --{flag}")
    return Finding(check, True, "free")


def disk(settings: NodeSettings) -> Finding:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free under {folder}"
    if free >= DISK_FREE_BYTES_MIN:
        return Finding("disk", True, detail)
    return Finding("disk", False, detail, "free at least 2 GiB, or choose another --data-dir")


def kernel() -> list[Finding]:
    overlay = has_filesystem("overlay")
    found = [Finding("overlayfs", overlay, "layers of images", "" if overlay else "modprobe overlay")]
    cgroup = Path("/proc/self/cgroup").read_text(encoding="ascii")
    found.append(Finding("cgroups", bool(cgroup.strip()), "limits of containers", "" if cgroup.strip() else "mount /sys/fs/cgroup"))
    loop = Path("/dev/loop-control").exists() or has_module("loop")
    found.append(Finding("loop devices", loop, "volumes with a size limit", "" if loop else "modprobe loop"))
    return found


def everything(settings: NodeSettings, *, running: bool) -> list[Finding]:
    """All checks. Ports and ranges are left out while the cluster runs: it holds them itself."""
    found = [root(), *programs(), *kernel(), disk(settings)]
    network = NetworkSettings(settings.id, settings.run_dir, IPv4Network(settings.cluster.pod_cidr))
    found += firewalls.findings(network, running=running)
    return found if running else [*found, *ports(settings), *ranges(settings)]
