"""/metrics/cadvisor: the container metrics dashboards and alerts are written for, with cAdvisor's names and labels. Pure.

In:    what the containers use, what went through the pods' links, the pods, the machine.
Out:   Prometheus text. Rows with `container=""` are a pod's sums, the row with `id="/"` is the machine.
Spec:  https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md ; kubelet's labels container, id, image, name,
       namespace, pod.
Gap:   block device and PSI figures are not read.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from wherry.infrastructure.linux.netlink import LinkCounters
from wherry.orchestration.agent.facts.pod import container_named
from wherry.orchestration.agent.node.metrics import ContainerUse, NodeUse
from wherry.orchestration.agent.plan import qos
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of

NS = 1_000_000_000
Value = int | float
# name, type, help, more labels, of a container's use, may be summed over a pod
_USED: tuple[tuple[str, str, str, str, Callable[[ContainerUse], Value]], ...] = (
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", 'cpu="total",',
     lambda c: c.cpu_ns / NS),
    ("container_memory_usage_bytes", "gauge", "Current memory usage in bytes, including all memory.",
     "", lambda c: c.memory_bytes),
    ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.", "", lambda c: c.working_set_bytes),
    ("container_memory_cache", "gauge", "Number of bytes of page cache memory.", "",
     lambda c: max(c.memory_bytes - c.working_set_bytes, 0)),
    ("container_fs_usage_bytes", "gauge", "Number of bytes that are consumed by the container on this filesystem.", 'device="",',
     lambda c: c.disk_bytes),
)  # fmt: skip
_WENT: tuple[tuple[str, str, Callable[[LinkCounters], int]], ...] = (
    ("receive_bytes", "bytes received", lambda link: link.rx_bytes),
    ("receive_errors", "errors encountered while receiving", lambda link: link.rx_errors),
    ("receive_packets_dropped", "packets dropped while receiving", lambda link: link.rx_dropped),
    ("receive_packets", "packets received", lambda link: link.rx_packets),
    ("transmit_bytes", "bytes transmitted", lambda link: link.tx_bytes),
    ("transmit_errors", "errors encountered while transmitting", lambda link: link.tx_errors),
    ("transmit_packets_dropped", "packets dropped while transmitting", lambda link: link.tx_dropped),
    ("transmit_packets", "packets transmitted", lambda link: link.tx_packets),
)


def render(
    node: NodeUse, uses: list[ContainerUse], links: Mapping[str, Iterable[LinkCounters]], pods: Iterable[Object], now: datetime,
    *, root: str, cpus: int, memory_bytes: int,
) -> str:  # fmt: skip
    """The whole text. `links` by pod uid; `root` is the parent cgroup of all pods; `cpus` and `memory_bytes` are the machine's."""
    stamp = int(now.timestamp() * 1000)
    by_uid = {uid_of(pod): pod for pod in pods}
    known = [use for use in uses if use.uid in by_uid]
    lines: list[str] = []
    of_node: dict[str, Value] = {
        "container_cpu_usage_seconds_total": node.cpu_ns / NS,
        "container_memory_usage_bytes": node.memory_bytes,
        "container_memory_working_set_bytes": node.memory_bytes,
    }
    for name, kind, text, more, value in _USED:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{{{_labels(use, by_uid, root, more)}}} {value(use)} {stamp}" for use in known]
        lines += [f"{name}{{{labels}}} {total} {stamp}" for labels, total in _sums(known, by_uid, root, more, value).items()]
        if name in of_node:
            lines.append(f'{name}{{container="",{more}id="/",image="",name="",namespace="",pod=""}} {of_node[name]} {stamp}')
    lines += _network(node, links, by_uid, root, stamp)
    lines += _stated(known, by_uid, root, now, stamp)
    lines += [
        "# HELP machine_cpu_cores Number of logical CPU cores.", "# TYPE machine_cpu_cores gauge", f"machine_cpu_cores {cpus}",
        "# HELP machine_memory_bytes Amount of memory installed on the machine.", "# TYPE machine_memory_bytes gauge",
        f"machine_memory_bytes {memory_bytes}",
        "# HELP container_scrape_error 1 if there was an error while getting container metrics, 0 otherwise",
        "# TYPE container_scrape_error gauge", "container_scrape_error 0",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _network(
    node: NodeUse, links: Mapping[str, Iterable[LinkCounters]], pods: Mapping[str, Object], root: str, stamp: int
) -> list[str]:
    """A row for each link of a pod, and the machine's; a pod on the machine's network has none, as there."""
    rows = [
        (f'id="/{qos.cgroup_parent(pods[uid], root)}"', namespace_of(pods[uid]), name_of(pods[uid]), link)
        for uid, found in links.items() if uid in pods for link in found
    ]  # fmt: skip
    rows += [('id="/"', "", "", link) for link in node.links]
    lines: list[str] = []
    for name, text, value in _WENT:
        family = f"container_network_{name}_total"
        lines += [f"# HELP {family} Cumulative count of {text}", f"# TYPE {family} counter"]
        lines += [
            f'{family}{{container="",{id},image="",interface="{_escaped(link.name)}",name="",namespace="{namespace}",pod="{pod}"}}'
            f" {value(link)} {stamp}" for id, namespace, pod, link in rows
        ]  # fmt: skip
    return lines


def _stated(uses: list[ContainerUse], pods: Mapping[str, Object], root: str, now: datetime, stamp: int) -> list[str]:
    """What does not change with use: times and limits."""
    rows: tuple[tuple[str, str, Callable[[ContainerUse, Object], Value | None]], ...] = (
        ("container_start_time_seconds", "Start time of the container since unix epoch in seconds.",
         lambda c, _: c.started_at_ns / NS),
        ("container_last_seen", "Last time a container was seen by the exporter", lambda c, _: int(now.timestamp())),
        ("container_spec_memory_limit_bytes", "Memory limit for the container.", lambda c, spec: qos.limit_of(spec, "memory") or 0),
        ("container_spec_cpu_period", "CPU period of the container.", lambda c, _: qos.CPU_PERIOD_US),
        ("container_spec_cpu_quota", "CPU quota of the container.",
         lambda c, spec: cpu * qos.CPU_PERIOD_US // 1000 if (cpu := qos.limit_of(spec, "cpu")) else None),
        ("container_spec_cpu_shares", "CPU share of the container.", lambda c, spec: qos.shares(qos.request_of(spec, "cpu"))),
    )  # fmt: skip
    lines: list[str] = []
    for name, text, value in rows:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
        for use in uses:
            found = value(use, container_named(pods[use.uid], use.container) or {})
            if found is not None:
                lines.append(f"{name}{{{_labels(use, pods, root, '')}}} {found} {stamp}")
    return lines


def _sums(
    uses: list[ContainerUse], pods: Mapping[str, Object], root: str, more: str, value: Callable[[ContainerUse], Value]
) -> dict[str, Value]:
    totals: dict[str, Value] = {}
    for use in uses:
        path = qos.cgroup_parent(pods[use.uid], root)
        labels = f'container="",{more}id="/{path}",image="",name="",namespace="{use.namespace}",pod="{use.pod}"'
        totals[labels] = totals.get(labels, 0) + value(use)
    return totals


def _labels(use: ContainerUse, pods: Mapping[str, Object], root: str, more: str) -> str:
    path = qos.cgroup_parent(pods[use.uid], root)
    return (
        f'container="{use.container}",{more}id="/{path}/{use.container_id}",image="{_escaped(use.image)}",name="{use.container_id}",'
        f'namespace="{use.namespace}",pod="{use.pod}"'
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
