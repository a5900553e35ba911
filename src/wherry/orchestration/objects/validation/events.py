"""Checks of Events, which two groups serve: what is created by the newer one must say all of it.

In:    an Event of either group; causes name the fields as core/v1 does, as upstream's do.
Spec:  pkg/apis/core/validation/events.go: an Event without eventTime is an old one and held to next to nothing; by
       events.k8s.io/v1 only new ones are created, and hardly anything of them may change.
"""

from collections.abc import Mapping
from typing import Any

from wherry.orchestration.objects.meta import Object, namespace_of
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes

FIELDS_V1 = {  # core/v1 -> events.k8s.io/v1
    "involvedObject": "regarding", "message": "note", "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp", "lastTimestamp": "deprecatedLastTimestamp", "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
BYTES_MAX = {"reportingInstance": 128, "action": 128, "reason": 128, "message": 1024}
TYPES = ("Normal", "Warning")
DEPRECATED = ("firstTimestamp", "lastTimestamp", "count", "source")
FIXED = (
    "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type", "eventTime", "action",
    "related", "reportingController", "reportingInstance",
)
_V1 = {"reportingController": "reportingController"} | FIELDS_V1


def event(obj: Object, old: Object | None, found: Causes) -> None:
    """core/v1."""
    _check_any(obj, obj, "reportingComponent", found)


def event_v1(obj: Object, old: Object | None, found: Causes) -> None:
    """events.k8s.io/v1."""
    seen = {core: obj.get(name) for core, name in FIELDS_V1.items()} | obj
    _check_any(obj, seen, "reportingController", found)
    if old is not None:
        if obj.get("series") != old.get("series"):
            _check_series(obj, found)
        for name in FIXED:
            served = _V1.get(name, name)
            found.unchanged(name, obj.get(served), old.get(served))
        return
    _check_series(obj, found)
    if not obj.get("eventTime"):
        found.required("eventTime")
    if obj.get("type") not in TYPES:
        found.invalid("type", "", f"has invalid value: {obj.get('type') or ''}")
    for name in DEPRECATED:
        if seen[name]:
            found.invalid(name, "", "needs to be unset")


def _check_any(obj: Object, seen: Mapping[str, Any], controller_field: str, found: Causes) -> None:
    """`seen` has core/v1's names; a new Event may be about an object of another namespace."""
    place, home = (seen.get("involvedObject") or {}).get("namespace") or "", namespace_of(obj)
    is_new = bool(obj.get("eventTime"))
    homes = ("", "default", "kube-system") if is_new else ("", "default")
    if (not place and home not in homes) or (place and home != place and not is_new):
        found.invalid("involvedObject.namespace", place, "does not match event.namespace")
    if not is_new:
        return
    controller = obj.get(controller_field) or ""
    if not controller:
        found.required(controller_field)
    found.invalid_each(controller_field, controller, names.qualified_wrong(controller))
    for name, limit in BYTES_MAX.items():
        text = seen.get(name) or ""
        if not text and name != "message":
            found.required(name)
        if len(text.encode()) > limit:
            found.invalid(name, "", f"can have at most {limit} characters")


def _check_series(obj: Object, found: Causes) -> None:
    series = obj.get("series")
    if series is None:
        return
    if (series.get("count") or 0) < 2:
        found.invalid("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        found.required("series.lastObservedTime")
