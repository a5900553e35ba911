"""Resource use of the node and its pods: Prometheus text and the summary API. Rendering is pure.

Spec: /metrics/resource (names as kubelet's), /stats/summary (stats/v1alpha1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wherry.infrastructure.linux import netlink
from wherry.infrastructure.linux.netlink import LinkCounters
from wherry.kit.clock import rfc3339
from wherry.kit.errors import WherryError
from wherry.orchestration.agent.node.machine import meminfo, read_pressure
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of

NS = 1_000_000_000
_JIFFY_S = 0.01
DEFAULT_LINK = "eth0"


@dataclass(frozen=True, slots=True)
class ContainerUse:
    """One running container. Times are Unix nanoseconds."""

    namespace: str
    pod: str
    uid: str
    container: str
    container_id: str
    image: str
    started_at_ns: int
    cpu_ns: int
    memory_bytes: int
    working_set_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class NodeUse:
    """The whole machine."""

    cpu_ns: int
    memory_bytes: int
    memory_available_bytes: int
    disk_available_bytes: int
    links: tuple[LinkCounters, ...] = ()


async def read_use(parts: Parts, pods: Iterable[Object]) -> list[ContainerUse]:
    """Of every running container; one that ends meanwhile is left out."""
    found = []
    for pod in pods:
        for history in parts.view.runs(uid_of(pod)).values():
            run = history[-1]
            if run.state != "running":
                continue
            try:
                usage = await parts.engine.usage(run.id)
                disk = await parts.engine.filesystem_usage(run.id)
            except (WherryError, OSError):
                continue
            found.append(
                ContainerUse(
                    namespace_of(pod),
                    name_of(pod),
                    uid_of(pod),
                    run.name,
                    run.id,
                    run.image,
                    run.started_at_ns,
                    usage.cpu_usage_ns,
                    usage.memory_usage_bytes,
                    usage.working_set_bytes,
                    disk,
                )  # fmt: skip
            )
    return found


async def read_links(parts: Parts, pods: Iterable[Object]) -> dict[str, tuple[LinkCounters, ...]]:
    """By pod uid, what went through the links of each running pod; none of those on the machine's network."""
    found = {}
    for uid in map(uid_of, pods):
        sandbox = parts.view.sandbox(uid)
        if sandbox is None or not sandbox.ready:
            continue
        try:
            links = await parts.engine.network_usage(sandbox.id)
        except (WherryError, OSError):
            continue  # it ends at this moment
        if links:
            found[uid] = links
    return found


def read_machine_links() -> tuple[LinkCounters, ...]:
    """The machine's own links, without the ends of the sandboxes'."""
    with netlink.open_socket() as door:
        return tuple(link for link in netlink.counters(door) if link.kind != "veth")


def read_node_use(parts: Parts) -> NodeUse:
    """From /proc and the kernel's list of links."""
    memory, pressure = meminfo(), read_pressure(parts.settings.data_dir)
    with open("/proc/stat") as file:
        fields = [int(word) for word in file.readline().split()[1:]]
    busy = sum(fields[:3]) + sum(fields[5:8])  # all but idle and iowait
    available = memory.get("MemAvailable", 0)
    return NodeUse(
        int(busy * _JIFFY_S * NS), memory.get("MemTotal", 0) - available, available, pressure.disk_available_bytes,
        read_machine_links(),
    )  # fmt: skip


def resource_metrics(node: NodeUse, containers: list[ContainerUse], now: datetime) -> str:
    """/metrics/resource."""
    stamp = int(now.timestamp() * 1000)
    lines = [
        "# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds",
        "# TYPE container_cpu_usage_seconds_total counter",
        *(f"container_cpu_usage_seconds_total{{{_labels(c)}}} {c.cpu_ns / NS} {stamp}" for c in containers),
        "# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes",
        "# TYPE container_memory_working_set_bytes gauge",
        *(f"container_memory_working_set_bytes{{{_labels(c)}}} {c.working_set_bytes} {stamp}" for c in containers),
        "# HELP container_start_time_seconds [STABLE] Start time of the container since unix epoch in seconds",
        "# TYPE container_start_time_seconds gauge",
        *(f"container_start_time_seconds{{{_labels(c)}}} {c.started_at_ns / NS}" for c in containers),
        "# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds",
        "# TYPE node_cpu_usage_seconds_total counter",
        f"node_cpu_usage_seconds_total {node.cpu_ns / NS} {stamp}",
        "# HELP node_memory_working_set_bytes [STABLE] Current working set of the node in bytes",
        "# TYPE node_memory_working_set_bytes gauge",
        f"node_memory_working_set_bytes {node.memory_bytes} {stamp}",
        *_pod_lines(containers, stamp),
        "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
        "# TYPE resource_scrape_error gauge",
        "resource_scrape_error 0",
    ]
    return "\n".join(lines) + "\n"


def _pod_lines(containers: list[ContainerUse], stamp: int) -> list[str]:
    cpu: dict[str, int] = {}
    memory: dict[str, int] = {}
    for c in containers:
        key = f'namespace="{c.namespace}",pod="{c.pod}"'
        cpu[key] = cpu.get(key, 0) + c.cpu_ns
        memory[key] = memory.get(key, 0) + c.working_set_bytes
    return [
        "# HELP pod_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the pod in core-seconds",
        "# TYPE pod_cpu_usage_seconds_total counter",
        *(f"pod_cpu_usage_seconds_total{{{key}}} {used / NS} {stamp}" for key, used in cpu.items()),
        "# HELP pod_memory_working_set_bytes [STABLE] Current working set of the pod in bytes",
        "# TYPE pod_memory_working_set_bytes gauge",
        *(f"pod_memory_working_set_bytes{{{key}}} {used} {stamp}" for key, used in memory.items()),
    ]


def _labels(use: ContainerUse) -> str:
    return f'container="{use.container}",namespace="{use.namespace}",pod="{use.pod}"'


def summary(
    node_name: str, node: NodeUse, containers: list[ContainerUse], links: Mapping[str, tuple[LinkCounters, ...]],
    pods: Iterable[Object], now: datetime,
) -> Object:  # fmt: skip
    """/stats/summary. `links` by pod uid."""
    time = rfc3339(now)
    by_pod: dict[str, list[ContainerUse]] = {}
    for use in containers:
        by_pod.setdefault(use.uid, []).append(use)
    return {
        "node": {
            "nodeName": node_name,
            "cpu": {"time": time, "usageCoreNanoSeconds": node.cpu_ns},
            "memory": {
                "time": time,
                "availableBytes": node.memory_available_bytes,
                "usageBytes": node.memory_bytes,
                "workingSetBytes": node.memory_bytes,
            },
            "network": _network_summary(node.links, time),
            "fs": {"time": time, "availableBytes": node.disk_available_bytes},
        },
        "pods": [_pod_summary(pod, by_pod.get(uid_of(pod), []), links.get(uid_of(pod), ()), time) for pod in pods],
    }


def _network_summary(links: Sequence[LinkCounters], time: str) -> Object:
    """Every link, and the one named eth0 again at the top, as kubelet does; a name "" says that there is none."""
    rows = [
        {"name": link.name, "rxBytes": link.rx_bytes, "rxErrors": link.rx_errors,
         "txBytes": link.tx_bytes, "txErrors": link.tx_errors} for link in links
    ]  # fmt: skip
    top = next((row for row in rows if row["name"] == DEFAULT_LINK), {"name": ""})
    return {"time": time, **top, "interfaces": rows}


def _pod_summary(pod: Object, containers: list[ContainerUse], links: Sequence[LinkCounters], time: str) -> Object:
    return {
        **({"network": _network_summary(links, time)} if links else {}),
        "podRef": {"name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)},
        "startTime": (pod.get("status") or {}).get("startTime"),
        "containers": [
            {
                "name": use.container,
                "startTime": time,
                "cpu": {"time": time, "usageCoreNanoSeconds": use.cpu_ns},
                "memory": {"time": time, "usageBytes": use.memory_bytes, "workingSetBytes": use.working_set_bytes},
                "rootfs": {"time": time, "usedBytes": use.disk_bytes},
            }
            for use in containers
        ],
        "cpu": {"time": time, "usageCoreNanoSeconds": sum(use.cpu_ns for use in containers)},
        "memory": {
            "time": time,
            "usageBytes": sum(use.memory_bytes for use in containers),
            "workingSetBytes": sum(use.working_set_bytes for use in containers),
        },
    }


def agent_metrics(pods: int, containers: int, node_name: str) -> str:
    """/metrics: the few of kubelet's own that dashboards use."""
    return (
        "# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox\n"
        "# TYPE kubelet_running_pods gauge\n"
        f"kubelet_running_pods {pods}\n"
        "# HELP kubelet_running_containers [ALPHA] Number of containers currently running\n"
        "# TYPE kubelet_running_containers gauge\n"
        f'kubelet_running_containers{{container_state="running"}} {containers}\n'
        "# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n"
        "# TYPE kubelet_node_name gauge\n"
        f'kubelet_node_name{{node="{node_name}"}} 1\n'
    )
