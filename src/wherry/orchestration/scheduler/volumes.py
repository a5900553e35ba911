"""May the pod's claims be used on that node, and what must be written before it can be bound there?

In:    the pod, its PersistentVolumeClaims, PersistentVolumes and StorageClasses.
Out:   `Claims`: what is wrong for every node, which claims wait for a node, per-node reasons.
Spec:  kubernetes pkg/scheduler/framework/plugins/volumebinding; the selected-node annotation tells the provisioner.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wherry.orchestration.objects.meta import Object, annotations_of, key_of, labels_of, name_of
from wherry.orchestration.objects.placement import selector_matches
from wherry.orchestration.objects.volume_match import SELECTED_NODE, best_match, class_of
from wherry.orchestration.objects.well_known import NOT_SUPPORTED_PROVISIONER
from wherry.orchestration.scheduler.snapshot import claim_keys

CONFLICT = "node(s) had volume node affinity conflict"
NOTHING_TO_BIND = "node(s) didn't find available persistent volumes to bind"

Getter = Callable[[str], Object | None]


@dataclass(frozen=True, slots=True)
class Claims:
    """`problem` holds for all nodes; `bound` are PVs in use; `waiting` are claims the node choice must be told to."""

    problem: str = ""
    bound: tuple[Object, ...] = ()
    waiting: tuple[Object, ...] = ()
    exclusive: frozenset[str] = frozenset()
    unprovisionable: frozenset[str] = frozenset()  # keys of waiting claims whose class provisions nothing
    topologies: Mapping[str, Sequence[Object]] = field(default_factory=dict)  # allowedTopologies by key of a waiting claim
    available: tuple[Object, ...] = ()  # PVs of the classes of waiting claims


def claims_of(
    pod: Object, claim: Getter, volume: Getter, storage_class: Getter, all_volumes: Callable[[], Iterable[Object]] = tuple
) -> Claims:
    """Look the pod's claims up. Getters take keys and return the newest known object or None."""
    bound, waiting, exclusive, unprovisionable, topologies = [], [], set(), set(), dict[str, Sequence[Object]]()
    for key in sorted(claim_keys(pod)):
        found = claim(key)
        if found is None:
            return Claims(problem=f'persistentvolumeclaim "{key.rpartition("/")[2]}" not found')
        if found.get("metadata", {}).get("deletionTimestamp"):
            return Claims(problem=f'persistentvolumeclaim "{name_of(found)}" is being deleted')
        spec = found.get("spec") or {}
        if "ReadWriteOncePod" in (spec.get("accessModes") or ()):
            exclusive.add(key_of(found))
        if (found.get("status") or {}).get("phase") == "Lost":
            lost = spec.get("volumeName", "")
            return Claims(problem=f'persistentvolumeclaim "{name_of(found)}" bound to non-existent persistentvolume "{lost}"')
        if spec.get("volumeName") and (found.get("status") or {}).get("phase") == "Bound":
            pv = volume(spec["volumeName"])
            if pv is not None:
                bound.append(pv)
            continue
        cls = storage_class(spec.get("storageClassName") or "")
        if cls is None or cls.get("volumeBindingMode") != "WaitForFirstConsumer":
            return Claims(problem="pod has unbound immediate PersistentVolumeClaims")
        waiting.append(found)
        if cls.get("provisioner") == NOT_SUPPORTED_PROVISIONER:
            unprovisionable.add(key_of(found))
        if cls.get("allowedTopologies"):
            topologies[key_of(found)] = cls["allowedTopologies"]
    classes = {class_of(found) for found in waiting}
    available = tuple(pv for pv in all_volumes() if class_of(pv) in classes) if waiting else ()
    return Claims("", tuple(bound), tuple(waiting), frozenset(exclusive), frozenset(unprovisionable), topologies, available)


def node_reasons(claims: Claims, node: Object) -> list[str]:
    """Why the claims keep the pod from this node."""
    for pv in claims.bound:
        required = ((pv.get("spec") or {}).get("nodeAffinity") or {}).get("required")
        if required and not selector_matches(required, node):
            return [CONFLICT]
    for claim in claims.waiting:
        selected = annotations_of(claim).get(SELECTED_NODE)
        if selected and selected != name_of(node):
            return [CONFLICT]  # its volume is being made elsewhere
    chosen = choose(claims, node)
    lacking = any(volume is None and not _is_provisioned_on(claims, key_of(claim), node) for claim, volume in chosen)
    return [NOTHING_TO_BIND] if lacking else []


def _is_provisioned_on(claims: Claims, key: str, node: Object) -> bool:
    """The claim's class makes volumes for that node: core/v1 TopologySelectorTerm, any term, all of its expressions."""
    terms = claims.topologies.get(key)
    return key not in claims.unprovisionable and (not terms or any(
        all(labels_of(node).get(row["key"]) in row["values"] for row in term.get("matchLabelExpressions") or ()) for term in terms))


def choose(claims: Claims, node: Object) -> list[tuple[Object, Object | None]]:
    """For each waiting claim the existing volume it gets on that node; None: one is to be provisioned there."""
    left = list(claims.available)
    chosen = []
    for claim in claims.waiting:
        found = best_match(claim, left, node) if left else None
        if found is not None:
            left.remove(found)
        chosen.append((claim, found))
    return chosen
