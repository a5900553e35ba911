"""Settings of one node agent: one frozen value, built by `assembly/agent.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wherry.kit.reserved import Reserved

VERSION = "v1.37.0+wherry"
RUNTIME_NAME = "wherry"


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent of one node must know. Paths are absolute; all pod state lies under `data_dir`."""

    node_name: str
    node_ip: str
    data_dir: Path  # pods/<uid>/... volumes, hosts files, termination messages
    log_dir: Path  # <ns>_<name>_<uid>/<container>/<attempt>.log
    log_links_dir: Path | None = None  # <pod>_<ns>_<container>-<id>.log leads to the log; None: no such links
    log_journal_dir: Path | None = None  # notes which folders of a shared log dir are this cluster's
    machine_log_dir: Path = Path("/var/log")  # served by /logs/ of the node API
    pod_cidr: str = ""  # the node's own range once it has one: a Node registered anew keeps it
    cluster_dns: tuple[str, ...] = ("10.96.0.10",)
    cluster_domain: str = "cluster.local"
    port: int = 10250
    reserved: Reserved = Reserved()  # ports and addresses of the machine no pod gets
    listen_hosts: tuple[str, ...] = ("127.0.0.1",)
    pod_pids_max: int = 4096  # processes and threads of one pod; 0: not limited
    max_pods: int = 500
    resolv_conf: Path = Path("/etc/resolv.conf")
    seccomp_dir: Path = Path("/var/lib/kubelet/seccomp")
    seccomp_default: str = "runtime/default"  # for pods that name no profile
    cgroup_root: str = "kubepods"  # relative to the engine's cgroup root
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    node_labels: Mapping[str, str] = field(default_factory=dict)
    node_taints: tuple[Mapping[str, str], ...] = ()
    system_reserved_bytes: int = 0  # taken from allocatable memory
    lease_duration_s: int = 40  # renewed four times as often
    node_status_period_s: float = 10.0  # computed; posted on change or every `node_status_report_s`
    node_status_report_s: float = 300.0
    resync_s: float = 60.0  # every pod is looked at this often even without an event
    relist_s: float = 300.0  # full engine listing, as repair
    crash_backoff_s_max: float = 300.0
    image_backoff_s_max: float = 300.0
    log_max_bytes: int = 10 * 1024 * 1024
    log_max_files: int = 5
    log_check_s: float = 10.0
    grace_s_min: float = 2.0  # always given between the stop signal and SIGKILL
