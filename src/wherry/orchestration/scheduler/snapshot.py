"""What the scheduler knows of each node: capacity, what is taken, which ports, which images.

In:    Nodes, Pods with a node name (also those it has just assumed).
Out:   `NodeInfo`s, updated in place pod by pod; `schedule` only reads them.
"""

from collections import Counter
from dataclasses import dataclass, field

from wherry.orchestration.objects.meta import Object, key_of, name_of
from wherry.orchestration.objects.placement import HostPort, amount_of, host_ports, requests_of

FINISHED = ("Succeeded", "Failed")
# A pod without requests still counts for the spreading scores (upstream: 100m, 200 MiB).
SCORE_DEFAULTS = {"cpu": 100, "memory": 200 * 1024**2}


@dataclass(slots=True)
class NodeInfo:
    """One node. `pods` maps keys to what each takes; amounts in millis of cpu, else whole units."""

    node: Object
    allocatable: dict[str, int]
    pods: dict[str, dict[str, int]] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)
    used_for_scores: Counter[str] = field(default_factory=Counter)
    ports: dict[str, tuple[HostPort, ...]] = field(default_factory=dict)
    claims: dict[str, frozenset[str]] = field(default_factory=dict)  # pod key -> PVC keys it mounts
    images: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return name_of(self.node)

    def add(self, pod: Object) -> None:
        """Count the pod, once."""
        key = key_of(pod)
        if key in self.pods:
            self.remove(key)
        wanted = requests_of(pod)
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
        if wanted is not None:
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


def counts(pod: Object) -> bool:
    """Does the pod take room on a node?"""
    return bool((pod.get("spec") or {}).get("nodeName")) and (pod.get("status") or {}).get("phase") not in FINISHED


class Snapshot:
    """All nodes. Fed by events, read by `schedule`."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self._homes: dict[str, str] = {}  # pod key -> node name
        self._homeless: dict[str, Object] = {}  # pods on nodes not seen yet

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
            known.node, known.allocatable, known.images = node, amounts, images
            return
        info = self.nodes[name_of(node)] = NodeInfo(node, amounts, images=images)
        for key, pod in [*self._homeless.items()]:
            if pod["spec"]["nodeName"] == info.name:
                info.add(pod)
                del self._homeless[key]

    def remove_node(self, name: str) -> None:
        """A node is gone; its pods are remembered by the pod events that follow."""
        self.nodes.pop(name, None)

    def set_pod(self, pod: Object) -> None:
        """A pod with a node name appeared or changed, or is assumed there."""
        key = key_of(pod)
        if not counts(pod):
            self.remove_pod(key)
            return
        name = pod["spec"]["nodeName"]
        if self._homes.get(key, name) != name:
            self.remove_pod(key)
        self._homes[key] = name
        info = self.nodes.get(name)
        if info is None:
            self._homeless[key] = pod
        else:
            info.add(pod)

    def remove_pod(self, key: str) -> None:
        """A pod is gone, finished, or was not bound after all."""
        self._homeless.pop(key, None)
        name = self._homes.pop(key, None)
        if name is not None and name in self.nodes:
            self.nodes[name].remove(key)
