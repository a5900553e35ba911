"""The Node object and its Lease. Pure.

Spec: core/v1 Node, coordination.k8s.io/v1 Lease; condition reasons and texts are upstream's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from wherry.container.image.service import Image
from wherry.kit.clock import rfc3339, rfc3339_micro
from wherry.orchestration.agent.facts.settings import RUNTIME_NAME, VERSION, AgentSettings
from wherry.orchestration.agent.node.machine import Machine, Pressure
from wherry.orchestration.objects.kinds import LEASES
from wherry.orchestration.objects.meta import Object, condition_of, uid_of
from wherry.orchestration.objects.quantity import canonical
from wherry.orchestration.objects.well_known import LABEL_ARCH, LABEL_ARCH_STABLE, LABEL_HOSTNAME, LABEL_OS, LABEL_OS_STABLE

IMAGES_MAX = 50
NAMES_PER_IMAGE_MAX = 5
LEASE_NAMESPACE = "kube-node-lease"
RESERVED_MEMORY_BYTES = 100 * 1024 * 1024  # the hard eviction threshold is not for pods


def capacity(machine: Machine, settings: AgentSettings) -> dict[str, str]:
    """status.capacity."""
    return {
        "cpu": str(machine.cpus),
        "ephemeral-storage": _kibibytes(machine.disk_bytes),
        "hugepages-2Mi": str(machine.hugepages_2mi_bytes),
        "memory": _kibibytes(machine.memory_bytes),
        "pods": str(settings.max_pods),
    }


def allocatable(machine: Machine, settings: AgentSettings) -> dict[str, str]:
    """status.allocatable: capacity without what the system and the eviction threshold keep."""
    memory = machine.memory_bytes - settings.system_reserved_bytes - RESERVED_MEMORY_BYTES - machine.hugepages_2mi_bytes
    return {
        **capacity(machine, settings),
        "ephemeral-storage": str(machine.disk_bytes * 9 // 10),
        "memory": _kibibytes(max(memory, 0)),
    }


def _kibibytes(count: int) -> str:
    """As the API server writes it back (`32Gi`, not `33554432Ki`): a status that comes back as it was sent is no news."""
    return canonical(f"{count // 1024}Ki")


def new_node(machine: Machine, settings: AgentSettings) -> Object:
    """As it is registered; status comes in the first report."""
    spec: Object = {"podCIDR": settings.pod_cidr, "podCIDRs": [settings.pod_cidr]} if settings.pod_cidr else {}
    if settings.node_taints:
        spec["taints"] = [dict(taint) for taint in settings.node_taints]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": settings.node_name,
            "labels": labels(machine, settings),
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        },
        "spec": spec,
    }


def labels(machine: Machine, settings: AgentSettings) -> dict[str, str]:
    """Those the node sets itself, and the user's."""
    return {
        LABEL_ARCH: machine.architecture,
        LABEL_OS: "linux",
        LABEL_ARCH_STABLE: machine.architecture,
        LABEL_HOSTNAME: settings.node_name,
        LABEL_OS_STABLE: "linux",
        **settings.node_labels,
    }


def status(
    machine: Machine,
    settings: AgentSettings,
    pressure: Pressure,
    *,
    images: Sequence[Image],
    old: Mapping[str, object],
    now: datetime,
    not_ready: str = "",
) -> Object:
    """The whole status; `not_ready` is why, "" when the node is ready."""
    return {
        "capacity": capacity(machine, settings),
        "allocatable": allocatable(machine, settings),
        "conditions": _conditions(pressure, old, now, not_ready),
        "addresses": [
            {"type": "InternalIP", "address": settings.node_ip},
            {"type": "Hostname", "address": settings.node_name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": settings.port}},
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.system_uuid,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": f"{RUNTIME_NAME}://{VERSION.removeprefix('v')}",
            "kubeletVersion": VERSION,
            "kubeProxyVersion": VERSION,
            "operatingSystem": "linux",
            "architecture": machine.architecture,
        },
        "images": _images(images),
        "features": {"supplementalGroupsPolicy": False},
    }


def differs(old: Mapping[str, object], new: Object) -> bool:
    """Whether there is news beside the heartbeat times."""
    return _without_heartbeats(old) != _without_heartbeats(new)


def lease(settings: AgentSettings, node: Object, now: datetime) -> Object:
    """A new Lease, owned by the node so that it goes with it."""
    return {
        "apiVersion": LEASES.api_version,
        "kind": "Lease",
        "metadata": {
            "name": settings.node_name,
            "namespace": LEASE_NAMESPACE,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": settings.node_name, "uid": uid_of(node)}],
        },
        "spec": {
            "holderIdentity": settings.node_name,
            "leaseDurationSeconds": settings.lease_duration_s,
            "renewTime": rfc3339_micro(now),
        },
    }


def _conditions(pressure: Pressure, old: Mapping[str, object], now: datetime, not_ready: str) -> list[Object]:
    ready = (
        ("Ready", False, "KubeletNotReady", not_ready)
        if not_ready
        else ("Ready", True, "KubeletReady", "kubelet is posting ready status")
    )
    wanted = [
        _pressure(
            "MemoryPressure",
            pressure.memory,
            "InsufficientMemory",
            "SufficientMemory",
            "sufficient memory available",
            "insufficient memory available",
        ),
        _pressure("DiskPressure", pressure.disk, "DiskPressure", "NoDiskPressure", "no disk pressure", "disk pressure"),
        _pressure(
            "PIDPressure",
            pressure.pids,
            "InsufficientPID",
            "SufficientPID",
            "sufficient PID available",
            "insufficient PID available",
        ),
        ready,
    ]
    conditions = old.get("conditions")
    before = conditions if isinstance(conditions, list) else []
    ours = [_stamped(before, *entry, now=now) for entry in wanted]
    names = {entry["type"] for entry in ours}
    return [dict(c) for c in before if c.get("type") not in names] + ours


def _pressure(
    kind: str, is_short: bool, bad: str, good: str, good_text: str, bad_text: str
) -> tuple[str, bool, str, str]:
    return (
        kind,
        is_short,
        f"KubeletHas{bad if is_short else good}",
        f"kubelet has {bad_text if is_short else good_text}",
    )


def _stamped(before: list[Object], kind: str, is_true: bool, reason: str, message: str, *, now: datetime) -> Object:
    old = condition_of(before, kind) or {}
    value = "True" if is_true else "False"
    moved = rfc3339(now) if old.get("status") != value else old.get("lastTransitionTime") or rfc3339(now)
    return {
        "type": kind,
        "status": value,
        "lastHeartbeatTime": rfc3339(now),
        "lastTransitionTime": moved,
        "reason": reason,
        "message": message,
    }


def _images(images: Sequence[Image]) -> list[Object]:
    largest = sorted(images, key=lambda image: (-image.size_bytes, image.id))[:IMAGES_MAX]
    return [
        {"names": [*image.digests, *image.tags][:NAMES_PER_IMAGE_MAX], "sizeBytes": image.size_bytes}
        for image in largest
        if image.digests or image.tags
    ]


def _without_heartbeats(status: Mapping[str, object]) -> dict[str, object]:
    found = dict(status)
    conditions = found.get("conditions")
    if isinstance(conditions, list):
        found["conditions"] = sorted(
            ({k: v for k, v in c.items() if k != "lastHeartbeatTime"} for c in conditions), key=lambda c: str(c["type"])
        )
    return found
