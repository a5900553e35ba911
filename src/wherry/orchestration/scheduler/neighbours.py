"""How many pods of a kind run where: counted as pods come and go, so that scheduling only looks numbers up.

In:    pods placed on and taken off nodes.
Out:   `Count`: pods that match some terms, by value of a topology label; the terms that placed pods themselves hold.
Cost:  a pod that comes or goes is matched against the terms in use (at most `COUNTS_MAX`); a new term scans once.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from wherry.orchestration.objects.meta import Object, labels_of
from wherry.orchestration.scheduler.pod_terms import NamespacesOf, Near, Term, affinity_of

COUNTS_MAX = 256
HARD_AFFINITY_WEIGHT = 1  # upstream hardPodAffinityWeight: required affinity of others counts as a wish for us

CountKey = tuple[tuple[Term, ...], str]


@dataclass(slots=True)
class Count:
    """Pods that match all `terms`: on each node, and by value of `topology_key` of their nodes."""

    terms: tuple[Term, ...]
    topology_key: str
    by_value: Counter[str] = field(default_factory=Counter)
    by_node: Counter[str] = field(default_factory=Counter)

    def matches(self, pod: Object) -> bool:
        """True for the pods counted."""
        return all(term.matches(pod) for term in self.terms)

    def change(self, node: Object, node_name: str, by: int) -> None:
        """`by` more pods on that node."""
        _add(self.by_node, node_name, by)
        value = labels_of(node).get(self.topology_key)
        if value is not None:
            _add(self.by_value, value, by)


@dataclass(slots=True)
class Held:
    """A term that placed pods hold: where, and with what weight in all."""

    near: Near
    by_value: Counter[str] = field(default_factory=Counter)


class Neighbours:
    """Everything counted. `namespaces_of` resolves namespace selectors."""

    def __init__(self, namespaces_of: NamespacesOf) -> None:
        self.namespaces_of = namespaces_of
        self.anti: dict[tuple[Term, str], Held] = {}  # required anti-affinity of placed pods
        self.wishes: dict[tuple[Term, str], Held] = {}  # their preferences, and required affinity
        self._counts: OrderedDict[CountKey, Count] = OrderedDict()

    def add(self, pod: Object, node: Object, node_name: str) -> None:
        """A pod is placed."""
        self._change(pod, node, node_name, 1)

    def remove(self, pod: Object, node: Object, node_name: str) -> None:
        """A placed pod goes."""
        self._change(pod, node, node_name, -1)

    def _change(self, pod: Object, node: Object, node_name: str, by: int) -> None:
        for count in self._counts.values():
            if count.matches(pod):
                count.change(node, node_name, by)
        if (pod.get("spec") or {}).get("affinity"):
            self._hold(pod, node, by)

    def _hold(self, pod: Object, node: Object, by: int) -> None:
        wishes = affinity_of(pod, self.namespaces_of)
        for near in wishes.anti:
            _held(self.anti, near, node, by)
        for near in wishes.affinity:
            _held(self.wishes, near, node, by * HARD_AFFINITY_WEIGHT)
        for near in wishes.preferred:
            _held(self.wishes, near, node, by * near.weight)

    def count(self, terms: tuple[Term, ...], topology_key: str, placed: Iterable[tuple[Object, Object, str]]) -> Count:
        """The count of pods that match all `terms`. `placed` gives (pod, node, node name) of all, for a new one."""
        key = (terms, topology_key)
        found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = Count(terms, topology_key)
            for pod, node, node_name in placed:
                if found.matches(pod):
                    found.change(node, node_name, 1)
            if len(self._counts) > COUNTS_MAX:
                self._counts.popitem(last=False)
        else:
            self._counts.move_to_end(key)
        return found

    def clear(self) -> None:
        """Labels of a node changed: everything has to be counted again."""
        self._counts.clear()
        self.anti.clear()
        self.wishes.clear()

    def hold_again(self, placed: Iterable[tuple[Object, Object, str]]) -> None:
        """After `clear`: the terms that placed pods hold."""
        for pod, node, _ in placed:
            if (pod.get("spec") or {}).get("affinity"):
                self._hold(pod, node, 1)


def _held(held: dict[tuple[Term, str], Held], near: Near, node: Object, by: int) -> None:
    value = labels_of(node).get(near.topology_key)
    if value is None or not by:
        return
    key = (near.term, near.topology_key)
    entry = held.setdefault(key, Held(near))
    _add(entry.by_value, value, by)
    if not entry.by_value:
        del held[key]


def _add(counter: Counter[str], key: str, by: int) -> None:
    total = counter[key] + by
    if total:
        counter[key] = total
    else:
        del counter[key]
