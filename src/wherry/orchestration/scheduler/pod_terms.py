"""What a pod asks of the pods near it: affinity terms and spread constraints, read once.

In:    a pod; the labels of namespaces (for namespaceSelector).
Out:   `Term`s that can be compared, hashed and matched against pods. Pure.
Spec:  core/v1 PodAffinityTerm, TopologySpreadConstraint; KEP-3633 (matchLabelKeys), KEP-3243 (the same for spreading).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.orchestration.objects.meta import Object, controller_of, labels_of, namespace_of
from wherry.orchestration.objects.selectors import NOTHING, LabelSelector, from_label_selector, from_map
from wherry.orchestration.objects.well_known import (
    JOB_COMPLETION_INDEX_ANNOTATION,
    LABEL_HOSTNAME,
    LABEL_TOPOLOGY_ZONE,
    POD_INDEX_LABEL,
    STATEFUL_SET_POD_NAME_LABEL,
)

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
# Labels that differ between the pods of one workload: not part of what they have in common.
OF_ONE_POD = (STATEFUL_SET_POD_NAME_LABEL, POD_INDEX_LABEL, JOB_COMPLETION_INDEX_ANNOTATION)

NamespacesOf = Callable[[Mapping[str, Any]], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Term:
    """Which pods. `namespaces` None means all."""

    namespaces: frozenset[str] | None
    selector: LabelSelector

    def matches(self, pod: Object) -> bool:
        """True for the pods meant."""
        if self.namespaces is not None and namespace_of(pod) not in self.namespaces:
            return False
        return self.selector.matches(labels_of(pod))


@dataclass(frozen=True, slots=True)
class Near:
    """A term and what counts as near: nodes with the same value of label `topology_key`. `weight` is of preferences."""

    term: Term
    topology_key: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint."""

    term: Term
    topology_key: str
    max_skew: int
    min_domains: int
    is_hard: bool
    honors_affinity: bool
    honors_taints: bool


@dataclass(frozen=True, slots=True)
class Wishes:
    """All of it. `preferred` has negative weights for anti-affinity."""

    affinity: tuple[Near, ...] = ()
    anti: tuple[Near, ...] = ()
    preferred: tuple[Near, ...] = ()
    spreads: tuple[Spread, ...] = ()


NONE = Wishes()


def wishes_of(pod: Object, namespaces_of: NamespacesOf) -> Wishes:
    """Everything a pod that is to be scheduled asks for."""
    spec = pod.get("spec") or {}
    near = affinity_of(pod, namespaces_of)
    spreads = tuple(_spread(pod, row) for row in spec.get("topologySpreadConstraints") or ())
    return Wishes(near.affinity, near.anti, near.preferred, spreads or _default_spreads(pod))


def affinity_of(pod: Object, namespaces_of: NamespacesOf) -> Wishes:
    """Only the affinity: what a pod that has a node still asks of others."""
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    to, away = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if not to and not away:
        return NONE
    return Wishes(
        tuple(_near(pod, row, namespaces_of) for row in to.get(REQUIRED) or ()),
        tuple(_near(pod, row, namespaces_of) for row in away.get(REQUIRED) or ()),
        (*_preferred(pod, to, 1, namespaces_of), *_preferred(pod, away, -1, namespaces_of)),
    )


def _preferred(pod: Object, side: Mapping[str, Any], sign: int, namespaces_of: NamespacesOf) -> Iterable[Near]:
    for row in side.get(PREFERRED) or ():
        yield _near(pod, row.get("podAffinityTerm") or {}, namespaces_of, sign * int(row.get("weight") or 0))


def _near(pod: Object, row: Mapping[str, Any], namespaces_of: NamespacesOf, weight: int = 1) -> Near:
    named = frozenset(row.get("namespaces") or ())
    by_selector = row.get("namespaceSelector")
    namespaces: frozenset[str] | None
    if by_selector is None:
        namespaces = named or frozenset({namespace_of(pod)})
    elif not by_selector.get("matchLabels") and not by_selector.get("matchExpressions"):
        namespaces = None
    else:
        namespaces = named | namespaces_of(by_selector)
    return Near(Term(namespaces, _selector(pod, row)), str(row.get("topologyKey") or ""), weight)


def _selector(pod: Object, row: Mapping[str, Any]) -> LabelSelector:
    given = row.get("labelSelector")
    if given is None:
        return NOTHING
    labels = labels_of(pod)
    own = [
        {"key": key, "operator": operator, "values": [labels[key]]}
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn"))
        for key in row.get(field) or ()
        if key in labels
    ]
    if own:
        given = {**given, "matchExpressions": [*(given.get("matchExpressions") or ()), *own]}
    return from_label_selector(given)


def _spread(pod: Object, row: Mapping[str, Any]) -> Spread:
    return Spread(
        Term(frozenset({namespace_of(pod)}), _selector(pod, row)),
        str(row.get("topologyKey") or ""),
        int(row.get("maxSkew") or 1),
        int(row.get("minDomains") or 1),
        row.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule",
        row.get("nodeAffinityPolicy", "Honor") == "Honor",
        row.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def _default_spreads(pod: Object) -> tuple[Spread, ...]:
    """Upstream's system defaults: pods of one workload spread over nodes and zones if they can."""
    if controller_of(pod) is None:
        return ()
    common = {name: value for name, value in labels_of(pod).items() if name not in OF_ONE_POD}
    if not common:
        return ()
    term = Term(frozenset({namespace_of(pod)}), from_map(common))
    return tuple(Spread(term, key, skew, 1, False, True, False) for key, skew in ((LABEL_HOSTNAME, 3), (LABEL_TOPOLOGY_ZONE, 5)))
