"""What an update of a pod may change: images, deadline, added tolerations, removed scheduling gates - and little else.

Spec: pkg/apis/core/validation, "ValidatePodUpdate", "ValidatePodEphemeralContainersUpdate", "ValidatePodResize".
"""

from collections.abc import Iterator
from typing import Any

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation.causes import Causes

CHANGES_SHOWN_MAX = 5
_FORBIDDEN = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_RESIZE_FORBIDDEN = "only cpu and memory resources for sidecar and non-sidecar containers are mutable"


def check_pod_update(new: Object, old: Object, found: Causes) -> None:
    """The main resource: compare the specs with everything changeable taken from the old one."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    for key in ("containers", "initContainers"):
        if len(after.get(key) or ()) != len(before.get(key) or ()):
            found.forbidden(f"spec.{key}", "pod updates may not add or remove containers")
            return
    _check_deadline(after, before, found)
    _check_gates(after, before, found)
    _check_added_tolerations(after, before, found)
    munged = {**after, "activeDeadlineSeconds": before.get("activeDeadlineSeconds"),
              "tolerations": before.get("tolerations"), "schedulingGates": before.get("schedulingGates")}
    for key in ("containers", "initContainers"):
        munged[key] = [{**c, "image": o.get("image")}
                       for c, o in zip(after.get(key) or (), before.get(key) or (), strict=True)]
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and after.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    if before.get("schedulingGates"):
        # A pod that waits at a gate may still be steered to fewer nodes.
        munged.update({key: before.get(key) for key in ("nodeSelector", "affinity")})
    _refuse_changes(munged, before, _FORBIDDEN, found)


def check_ephemeral_containers(new: Object, old: Object, found: Causes) -> None:
    """The `ephemeralcontainers` subresource: containers may only be added."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    now = {c.get("name"): c for c in after.get("ephemeralContainers") or ()}
    for container in before.get("ephemeralContainers") or ():
        name = container.get("name")
        if name not in now:
            found.forbidden("spec.ephemeralContainers", f'existing ephemeral containers "{name}" may not be removed\n')
        elif _without_empty(now[name]) != _without_empty(container):
            found.forbidden("spec.ephemeralContainers",
                            f'existing ephemeral containers "{name}" may not be changed\n')
    munged = {**after, "ephemeralContainers": before.get("ephemeralContainers")}
    _refuse_changes(munged, before, "only ephemeral containers are mutable", found)


def check_resize(new: Object, old: Object, found: Causes) -> None:
    """The `resize` subresource: only container resources may change."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    munged = dict(after)
    for key in ("containers", "initContainers"):
        olds = {c.get("name"): c for c in before.get(key) or ()}
        munged[key] = [
            {**c, "resources": olds.get(c.get("name"), {}).get("resources"),
             "resizePolicy": olds.get(c.get("name"), {}).get("resizePolicy")}
            for c in after.get(key) or ()
        ]
    if "resources" in after or "resources" in before:
        munged["resources"] = before.get("resources")
    _refuse_changes(munged, before, _RESIZE_FORBIDDEN, found)


def _check_deadline(after: Object, before: Object, found: Causes) -> None:
    new, old = after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if old is not None and new is None:
        found.invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")
    elif old is not None and new is not None and new > old:
        found.invalid("spec.activeDeadlineSeconds", new, f"must be less than or equal to previous value {old}")


def _check_gates(after: Object, before: Object, found: Causes) -> None:
    old = {gate.get("name") for gate in before.get("schedulingGates") or ()}
    for index, gate in enumerate(after.get("schedulingGates") or ()):
        if gate.get("name") not in old:
            found.forbidden(f"spec.schedulingGates[{index}].name",
                            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'")


def _check_added_tolerations(after: Object, before: Object, found: Causes) -> None:
    now = [_without(t, "tolerationSeconds") for t in after.get("tolerations") or ()]
    if any(_without(t, "tolerationSeconds") not in now for t in before.get("tolerations") or ()):
        found.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")


def _without(obj: Object, key: str) -> Object:
    return {k: v for k, v in obj.items() if k != key}


def _refuse_changes(new: Object, old: Object, text: str, found: Causes) -> None:
    if {k: v for k, v in new.items() if v is not None} == {k: v for k, v in old.items() if v is not None}:
        return
    left, right = _without_empty(new), _without_empty(old)
    if left != right:
        changes = list(_changes(left, right, "spec"))[:CHANGES_SHOWN_MAX]
        found.forbidden("spec", f"{text}\nchanged: {', '.join(changes)}\n")


def _without_empty(value: Any) -> Any:
    """Absent, null and empty are the same to a typed decoder."""
    if isinstance(value, dict):
        return {k: kept for k, v in value.items() if (kept := _without_empty(v)) not in (None, {}, [], "")}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


def _changes(new: Any, old: Any, path: str) -> Iterator[str]:
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted(new.keys() | old.keys()):
            if new.get(key) != old.get(key):
                yield from _changes(new.get(key), old.get(key), f"{path}.{key}")
    elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        for index, (left, right) in enumerate(zip(new, old, strict=True)):
            if left != right:
                yield from _changes(left, right, f"{path}[{index}]")
    else:
        yield path
