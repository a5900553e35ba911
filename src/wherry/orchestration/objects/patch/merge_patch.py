"""JSON merge patch. Spec: RFC 7386. Pure: neither argument is changed, the result shares no container with the patch."""

from typing import Any

from wherry.orchestration.objects.patch.json_value import check_depth


def apply(doc: Any, patch: Any) -> Any:
    """`doc` with `patch` merged in; `null` removes. Raises `Invalid` for a patch nested too deep."""
    check_depth(patch)
    return _merge(doc, patch)


def _merge(doc: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(doc) if isinstance(doc, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged
