"""The way from kubectl's client-side apply to server-side apply, without conflicts with kubectl itself.

In:    a live object with the annotation client-side apply leaves, and conflicts of an apply by the manager `kubectl`.
Out:   the paths kubectl may take by force, because it wrote them and nobody changed them since; the annotation, renewed.
Spec:  k8s.io/apimachinery/pkg/util/managedfields, lastAppliedManager and lastAppliedUpdater. Other managers opt out.
"""

from typing import Any

import orjson

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.apply.fieldsets import compare, fields_of
from wherry.orchestration.objects.apply.paths import Fields
from wherry.orchestration.objects.apply.tracking import untracked_removed
from wherry.orchestration.objects.apply.trees import NOTHING, minus, single, union
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.patch.json_value import check_depth
from wherry.orchestration.objects.structure import Node
from wherry.orchestration.objects.well_known import LAST_APPLIED_CONFIG_ANNOTATION

KUBECTL = "kubectl"
ANNOTATION_PATH = ("f:metadata", "f:annotations", f"f:{LAST_APPLIED_CONFIG_ANNOTATION}")


def allowed_conflicts(live: Object, node: Node) -> Fields:
    """The fields client-side apply set that still have the value it gave them; none without a readable annotation."""
    last = _last_applied(live)
    if last is None:
        return NOTHING
    shown = untracked_removed(last)
    difference = compare(shown, untracked_removed(live), node)
    same = fields_of(shown, node, strict=False)
    for other in (difference.added, difference.changed, difference.removed):
        same = minus(same, other)
    return union(same, single(ANNOTATION_PATH))


def with_last_applied(obj: Object, applied: Object) -> Object:
    """`obj` with the annotation saying `applied`, if it has the annotation at all."""
    if LAST_APPLIED_CONFIG_ANNOTATION not in _annotations(obj):
        return obj
    text = orjson.dumps(applied, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    metadata = {**obj["metadata"], "annotations": {**_annotations(obj), LAST_APPLIED_CONFIG_ANNOTATION: text}}
    return {**obj, "metadata": metadata}


def _last_applied(live: Object) -> Object | None:
    try:
        found: Any = orjson.loads(_annotations(live).get(LAST_APPLIED_CONFIG_ANNOTATION, ""))
        check_depth(found)
    except (orjson.JSONDecodeError, Invalid):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("metadata", {}), dict) else None


def _annotations(obj: Object) -> dict[str, Any]:
    """Metadata is not validated yet when a configuration is merged: anything may stand there."""
    found = (obj.get("metadata") or {}).get("annotations")
    return found if isinstance(found, dict) else {}
