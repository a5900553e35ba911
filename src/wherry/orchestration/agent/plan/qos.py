"""Quality of service: class, cgroup path, CPU and memory values, OOM score. Pure.

Spec:  k8s.io/docs/concepts/workloads/pods/pod-qos; KEP-753 (sidecars in sums), KEP-2837 (pod-level resources);
       shares = milliCPU * 1024 / 1000, at least 2; quota = milliCPU * period / 1000, at least 1000 us.
"""

from collections.abc import Iterable, Mapping

from wherry.container.runtime.engine import Resources
from wherry.orchestration.agent.facts.pod import app_containers, init_containers, is_sidecar, spec_of
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, uid_of

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
CPU_PERIOD_US = 100_000
QUOTA_US_MIN = 1000
SHARES_MIN = 2
SHARES_MAX = 262_144
NODE_CRITICAL_PRIORITY = 2_000_001_000


def qos_class(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort; pod-level resources decide when they are set."""
    pod_level = spec_of(pod).get("resources") or {}
    if pod_level.get("requests") or pod_level.get("limits"):
        parts = [pod_level]
    else:
        parts = [c.get("resources") or {} for c in (*init_containers(pod), *app_containers(pod))]
    amounts = [
        (resource, str(value))
        for part in parts
        for kind in ("requests", "limits")
        for resource, value in (part.get(kind) or {}).items()
        if resource in ("cpu", "memory") and quantity.milli(value) > 0
    ]
    if not amounts:
        return BEST_EFFORT
    return GUARANTEED if all(_is_guaranteed(part) for part in parts) else BURSTABLE


def _is_guaranteed(resources: Object) -> bool:
    limits = resources.get("limits") or {}
    requests = {**limits, **(resources.get("requests") or {})}
    return all(
        resource in limits
        and quantity.milli(limits[resource]) > 0
        and quantity.milli(limits[resource]) == quantity.milli(requests[resource])
        for resource in ("cpu", "memory")
    )


def cgroup_parent(pod: Object, root: str) -> str:
    """`kubepods[/burstable|/besteffort]/pod<uid>`."""
    tier = {GUARANTEED: "", BURSTABLE: "/burstable", BEST_EFFORT: "/besteffort"}[qos_class(pod)]
    return f"{root}{tier}/pod{uid_of(pod)}"


def request_of(container: Object, resource: str) -> int:
    """Millis for cpu, else whole units; a limit without a request counts as the request."""
    return _amount({**_limits(container), **((container.get("resources") or {}).get("requests") or {})}, resource) or 0


def limit_of(container: Object, resource: str) -> int | None:
    """Millis for cpu, else whole units; None: not limited."""
    return _amount(_limits(container), resource)


def pod_requests(pod: Object, resource: str) -> int:
    """What the pod takes from the node: sidecars and app containers, or the largest init step, plus overhead."""
    sidecars = largest_init = 0
    for container in init_containers(pod):
        amount = request_of(container, resource)
        if is_sidecar(container):
            sidecars += amount
            largest_init = max(largest_init, sidecars)
        else:
            largest_init = max(largest_init, sidecars + amount)
    running = sidecars + sum(request_of(c, resource) for c in app_containers(pod))
    pod_level = _amount((spec_of(pod).get("resources") or {}).get("requests") or {}, resource)
    needed = max(running, largest_init) if pod_level is None else pod_level
    return needed + (_amount(spec_of(pod).get("overhead") or {}, resource) or 0)


def pod_resources(pod: Object, *, pids_max: int) -> Resources:
    """Of the pod's cgroup: weight always, limits only when every container has them (or the pod itself).

    `pids_max` is the node's: 0 does not limit.
    """
    return Resources(
        cpu_shares=shares(pod_requests(pod, "cpu")),
        cpu_quota_us=_quota(_pod_limit(pod, "cpu")),
        cpu_period_us=CPU_PERIOD_US,
        memory_limit_bytes=_pod_limit(pod, "memory"),
        pids_limit=pids_max or None,
    )


def container_resources(pod: Object, container: Object, *, memory_capacity_bytes: int) -> Resources:
    """Of one container's cgroup; pod-level limits stand in for missing ones."""
    return Resources(
        cpu_shares=shares(request_of(container, "cpu")),
        cpu_quota_us=_quota(limit_of(container, "cpu")),
        cpu_period_us=CPU_PERIOD_US,
        memory_limit_bytes=limit_of(container, "memory") or None,
        oom_score_adj=oom_score_adj(pod, container, memory_capacity_bytes=memory_capacity_bytes),
    )


def oom_score_adj(pod: Object, container: Object, *, memory_capacity_bytes: int) -> int:
    """-997 Guaranteed or node-critical, 1000 BestEffort, between by the share of memory asked for."""
    found = qos_class(pod)
    if found == GUARANTEED or int(spec_of(pod).get("priority") or 0) >= NODE_CRITICAL_PRIORITY:
        return -997
    if found == BEST_EFFORT:
        return 1000
    share = 1000 * request_of(container, "memory") // max(memory_capacity_bytes, 1)
    return min(max(3, 1000 - share), 999)


def shares(milli_cpu: int) -> int:
    """cgroup v1 cpu.shares."""
    return min(max(SHARES_MIN, milli_cpu * 1024 // 1000), SHARES_MAX)


def _quota(milli_cpu: int | None) -> int | None:
    return max(QUOTA_US_MIN, milli_cpu * CPU_PERIOD_US // 1000) if milli_cpu else None


def _pod_limit(pod: Object, resource: str) -> int | None:
    pod_level = _amount((spec_of(pod).get("resources") or {}).get("limits") or {}, resource)
    if pod_level:
        return pod_level
    apps = _total(limit_of(c, resource) for c in (*app_containers(pod), *filter(is_sidecar, init_containers(pod))))
    inits = [limit_of(c, resource) for c in init_containers(pod)]
    if apps is None or any(not amount for amount in inits):
        return None
    overhead = _amount(spec_of(pod).get("overhead") or {}, resource) or 0
    return max([apps, *(amount or 0 for amount in inits)]) + overhead


def _total(amounts: Iterable[int | None]) -> int | None:
    total = 0
    for amount in amounts:
        if not amount:
            return None
        total += amount
    return total or None


def _limits(container: Object) -> Mapping[str, str]:
    return (container.get("resources") or {}).get("limits") or {}


def _amount(amounts: Mapping[str, str], resource: str) -> int | None:
    if (text := amounts.get(resource)) is None:
        return None
    return quantity.milli(text) if resource == "cpu" else quantity.value(text)
