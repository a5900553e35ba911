"""Names, labels, volumes and claims of a StatefulSet's pods: pure.

Spec:  Kubernetes pkg/controller/statefulset/stateful_set_utils.go.
"""

import copy
import re
from collections.abc import Iterator

from wherry.orchestration.controllers.workload.pod_template import pod_from
from wherry.orchestration.controllers.workload.revision_history import REVISION_LABEL
from wherry.orchestration.objects.kinds import STATEFUL_SETS
from wherry.orchestration.objects.meta import Object, labels_of, name_of, namespace_of, uid_of
from wherry.orchestration.objects.well_known import POD_INDEX_LABEL, STATEFUL_SET_POD_NAME_LABEL

_ORDINAL = re.compile(r"(.*)-([0-9]+)")


def replicas_of(owner: Object) -> int:
    """spec.replicas, 1 when absent."""
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def first_ordinal(owner: Object) -> int:
    """spec.ordinals.start."""
    return int((owner["spec"].get("ordinals") or {}).get("start") or 0)


def ordinals(owner: Object) -> range:
    """The ordinals that should exist."""
    return range(first_ordinal(owner), first_ordinal(owner) + replicas_of(owner))


def pod_name(owner: Object, ordinal: int) -> str:
    """`db-0`."""
    return f"{name_of(owner)}-{ordinal}"


def ordinal_of(owner: Object, pod: Object) -> int:
    """The ordinal in the pod's name, -1 when the name is not one of this set."""
    found = _ORDINAL.fullmatch(name_of(pod))
    return int(found[2]) if found and found[1] == name_of(owner) else -1


def pod_for(owner: Object, ordinal: int, template: Object, revision: str) -> Object:
    """The pod of one ordinal, made from the template of `revision`."""
    pod = pod_from(template, owner, STATEFUL_SETS)
    del pod["metadata"]["generateName"]
    pod["metadata"]["name"] = pod_name(owner, ordinal)
    pod["metadata"]["namespace"] = namespace_of(owner)
    pod["metadata"].setdefault("labels", {}).update(identity_labels(owner, ordinal), **{REVISION_LABEL: revision})
    spec = pod["spec"]
    spec["hostname"] = pod_name(owner, ordinal)
    if owner["spec"].get("serviceName"):
        spec["subdomain"] = owner["spec"]["serviceName"]
    claims = {
        claim["name"]: {"name": claim["name"], "persistentVolumeClaim": {"claimName": claim["claim"]}}
        for claim in _claims(owner, ordinal)
    }
    if claims:
        spec["volumes"] = [*(v for v in spec.get("volumes") or () if v["name"] not in claims), *claims.values()]
    return pod


def identity_labels(owner: Object, ordinal: int) -> dict[str, str]:
    """The labels that say which member a pod is."""
    return {STATEFUL_SET_POD_NAME_LABEL: pod_name(owner, ordinal), POD_INDEX_LABEL: str(ordinal)}


def has_identity(owner: Object, pod: Object) -> bool:
    """The pod carries its identity labels."""
    return identity_labels(owner, ordinal_of(owner, pod)).items() <= labels_of(pod).items()


def claims_for(owner: Object, ordinal: int) -> list[Object]:
    """The PersistentVolumeClaims of one ordinal."""
    selected = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
    result = []
    for template, claim in zip(owner["spec"].get("volumeClaimTemplates") or (), _claims(owner, ordinal), strict=True):
        made = {**copy.deepcopy(template), "apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        made.pop("status", None)
        metadata = template.get("metadata") or {}
        made["metadata"] = {
            **{name: metadata[name] for name in ("annotations", "finalizers") if metadata.get(name)},
            "name": claim["claim"],
            "namespace": namespace_of(owner),
            "labels": {**(metadata.get("labels") or {}), **selected},
        }
        result.append(made)
    return result


def _claims(owner: Object, ordinal: int) -> Iterator[dict[str, str]]:
    for template in owner["spec"].get("volumeClaimTemplates") or ():
        yield {"name": name_of(template), "claim": f"{name_of(template)}-{pod_name(owner, ordinal)}"}


def claim_owners(owner: Object, ordinal: int, claim: Object, pod: Object | None) -> list[Object]:
    """What ownerReferences of a claim should be by persistentVolumeClaimRetentionPolicy.

    The set owns claims to delete with it; the pod owns claims to delete when it is scaled away. Others stay. A claim that
    another controller owns gets no owner of ours: the server would refuse a second controller for ever.
    """
    policy = owner["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    is_condemned = ordinal not in ordinals(owner)
    references = claim["metadata"].get("ownerReferences") or []
    mine = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name_of(owner), "uid": uid_of(owner), "controller": True}
    kept = [r for r in references if r.get("uid") != uid_of(owner) and not _is_member(owner, r)]
    if any(reference.get("controller") for reference in kept):
        return kept
    if policy.get("whenScaled") == "Delete" and is_condemned:
        if pod is None:
            return [r for r in references if r.get("uid") != uid_of(owner)]
        return [*kept, {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": uid_of(pod), "controller": True}]
    if policy.get("whenDeleted") == "Delete":
        return [*kept, mine]
    return kept


def _is_member(owner: Object, reference: Object) -> bool:
    found = _ORDINAL.fullmatch(str(reference.get("name")))
    return reference.get("kind") == "Pod" and found is not None and found[1] == name_of(owner)
