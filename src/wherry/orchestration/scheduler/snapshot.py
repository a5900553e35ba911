"""What the scheduler knows of each node: capacity, what is taken, which ports, which images; and who is near whom.

In:    Nodes, Namespaces, Pods with a node name (also those it has just assumed).
Out:   `NodeInfo`s and `Neighbours`, updated in place pod by pod; `schedule` only reads them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.orchestration.objects.meta import Object, key_of, labels_of, name_of
from wherry.orchestration.objects.placement import HostPort, amount_of, host_ports, requests_of
from wherry.orchestration.objects.selectors import from_label_selector
from wherry.orchestration.scheduler.neighbours import Neighbours

FINISHED = ("Succeeded", "Failed")
# A pod without requests still counts for the spreading scores (upstream: 100m, 200 MiB).
SCORE_DEFAULTS = {"cpu": 100, "memory": 200 * 1024**2}


@dataclass(slots=True)
class NodeInfo:
    """One node. `pods` maps keys to what each takes; amounts in millis of cpu, else whole units.

    `version` grows with every change: what was computed of an older one is stale.
    """

    node: Object
    allocatable: dict[str, int]
    name: str = ""
    version: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    pods: dict[str, dict[str, int]] = field(default_factory=dict)
    objects: dict[str, Object] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)
    used_for_scores: Counter[str] = field(default_factory=Counter)
    ports: dict[str, tuple[HostPort, ...]] = field(default_factory=dict)
    claims: dict[str, frozenset[str]] = field(default_factory=dict)  # pod key -> PVC keys it mounts
    images: dict[str, int] = field(default_factory=dict)

    def add(self, pod: Object) -> None:
        """Count the pod, once."""
        key = key_of(pod)
        if key in self.pods:
            self.remove(key)
        wanted = requests_of(pod)
        self.version += 1
        self.objects[key] = pod
        self.pods[key] = wanted
        self.used.update(wanted)
        self.used_for_scores.update(for_scores(wanted))
        if taken := tuple(host_ports(pod)):
            self.ports[key] = taken
        if claims := claim_keys(pod):
            self.claims[key] = claims

    def remove(self, key: str) -> None:
        """Forget the pod. Idempotent."""
        wanted = self.pods.pop(key, None)
        self.objects.pop(key, None)
        if wanted is not None:
            self.version += 1
            self.used.subtract(wanted)
            self.used_for_scores.subtract(for_scores(wanted))
        self.ports.pop(key, None)
        self.claims.pop(key, None)


def for_scores(wanted: dict[str, int]) -> dict[str, int]:
    """cpu and memory as the scores count them."""
    return {resource: wanted.get(resource) or default for resource, default in SCORE_DEFAULTS.items()}


def claim_keys(pod: Object) -> frozenset[str]:
    """Keys of the PersistentVolumeClaims the pod mounts, ephemeral ones under the name they get."""
    namespace = pod.get("metadata", {}).get("namespace", "")
    names = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            names.append(volume["persistentVolumeClaim"].get("claimName", ""))
        elif "ephemeral" in volume:
            names.append(f"{name_of(pod)}-{volume.get('name', '')}")
    return frozenset(f"{namespace}/{name}" for name in names)


def priority_of(pod: Object) -> int:
    """spec.priority, 0 when absent."""
    return int((pod.get("spec") or {}).get("priority") or 0)


def counts(pod: Object) -> bool:
    """Does the pod take room on a node?"""
    return bool((pod.get("spec") or {}).get("nodeName")) and (pod.get("status") or {}).get("phase") not in FINISHED


class Snapshot:
    """All nodes. Fed by events, read by `schedule`. `order` is the nodes in a fixed order."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self.order: list[NodeInfo] = []
        self.neighbours = Neighbours(self._namespaces_of)
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._domains: dict[str, frozenset[str]] = {}  # topology key -> values, as asked for
        self.priorities: Counter[int] = Counter()  # of placed pods
        self._homes: dict[str, str] = {}  # pod key -> node name
        self._homeless: dict[str, Object] = {}  # pods on nodes not seen yet

    def placed(self) -> Iterator[tuple[Object, Object, str]]:
        """(pod, node, node name) of every pod on a node."""
        for info in self.order:
            for pod in info.objects.values():
                yield pod, info.node, info.name

    def domains(self, topology_key: str) -> frozenset[str]:
        """The values of a label that nodes have."""
        found = self._domains.get(topology_key)
        if found is None:
            values = (info.labels.get(topology_key) for info in self.order)
            found = self._domains[topology_key] = frozenset(value for value in values if value is not None)
        return found

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """A namespace appeared, changed, or with None went."""
        if labels is None:
            self._namespaces.pop(name, None)
        elif self._namespaces.get(name) != labels:
            self._namespaces[name] = labels
        else:
            return
        self._count_again()

    def _namespaces_of(self, selector: Mapping[str, Any]) -> frozenset[str]:
        wanted = from_label_selector(selector)
        return frozenset(name for name, labels in self._namespaces.items() if wanted.matches(labels))

    def _count_again(self) -> None:
        self.neighbours.clear()
        self.neighbours.hold_again(self.placed())

    def set_node(self, node: Object) -> None:
        """A node appeared or changed."""
        allocatable = (node.get("status") or {}).get("allocatable") or {}
        amounts = {resource: amount_of(resource, text) for resource, text in allocatable.items()}
        images = {
            name: int(image.get("sizeBytes") or 0)
            for image in (node.get("status") or {}).get("images") or ()
            for name in image.get("names") or ()
        }
        known = self.nodes.get(name_of(node))
        if known is not None:
            old_labels = labels_of(known.node)
            known.node, known.allocatable, known.images, known.labels = node, amounts, images, labels_of(node)
            known.version += 1
            if old_labels != labels_of(node):
                self._domains.clear()
                self._count_again()
            return
        info = self.nodes[name_of(node)] = NodeInfo(node, amounts, name_of(node), labels=labels_of(node), images=images)
        self.order.append(info)
        self._domains.clear()
        for key, pod in [*self._homeless.items()]:
            if pod["spec"]["nodeName"] == info.name:
                self._place(pod, info)
                del self._homeless[key]

    def remove_node(self, name: str) -> None:
        """A node is gone. Its pods are remembered until their own events come, in case it comes back."""
        info = self.nodes.pop(name, None)
        if info is None:
            return
        info.version += 1
        self.order.remove(info)
        self._domains.clear()
        for key, pod in [*info.objects.items()]:
            self._take_off(key, info)
            self._homeless[key] = pod

    def set_pod(self, pod: Object) -> None:
        """A pod with a node name appeared or changed, or is assumed there."""
        key = key_of(pod)
        if not counts(pod):
            self.remove_pod(key)
            return
        name = pod["spec"]["nodeName"]
        info = self.nodes.get(name)
        old = info.objects.get(key) if info is not None and self._homes.get(key) == name else None
        if info is not None and old is not None and _weight(old) == _weight(pod):
            info.objects[key] = pod  # a report of its kubelet: nothing that counts here
            return
        self.remove_pod(key)
        self._homes[key] = name
        if info is None:
            self._homeless[key] = pod
        else:
            self._place(pod, info)

    def remove_pod(self, key: str) -> None:
        """A pod is gone, finished, or was not bound after all."""
        self._homeless.pop(key, None)
        name = self._homes.pop(key, None)
        info = self.nodes.get(name) if name is not None else None
        if info is not None and key in info.objects:
            self._take_off(key, info)

    def _place(self, pod: Object, info: NodeInfo) -> None:
        info.add(pod)
        self.neighbours.add(pod, info.node, info.name)
        self.priorities[priority_of(pod)] += 1

    def _take_off(self, key: str, info: NodeInfo) -> None:
        pod = info.objects[key]
        self.neighbours.remove(pod, info.node, info.name)
        info.remove(key)
        priority = priority_of(pod)
        self.priorities[priority] -= 1
        if not self.priorities[priority]:
            del self.priorities[priority]


def _weight(pod: Object) -> tuple[object, ...]:
    """What of a placed pod changes the snapshot."""
    return pod.get("spec"), labels_of(pod)
