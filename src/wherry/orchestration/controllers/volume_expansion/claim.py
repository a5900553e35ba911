"""What a growing claim says in its status: pure.

Spec:  core/v1 PersistentVolumeClaim conditions Resizing, FileSystemResizePending; texts are upstream's.
"""

from datetime import datetime

from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, condition_of, is_deleting, with_condition
from wherry.orchestration.objects.volume_match import requested_bytes

RESIZING, PENDING = "Resizing", "FileSystemResizePending"
PENDING_TEXT = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."


def grows(claim: Object) -> bool:
    """A bound claim that asks for more than it has."""
    status = claim.get("status") or {}
    if status.get("phase") != "Bound" or is_deleting(claim) or not (claim.get("spec") or {}).get("volumeName"):
        return False
    has = (status.get("capacity") or {}).get("storage")
    return has is not None and requested_bytes(claim) > quantity.value(has)


def is_pending(claim: Object) -> bool:
    """The storage waits for the next mount."""
    return condition_of((claim.get("status") or {}).get("conditions"), PENDING) is not None


def resizing(claim: Object, now: datetime) -> Object:
    """Status while the storage grows."""
    return _with(claim, {"type": RESIZING, "status": "True"}, now)


def pending(claim: Object, reason: str, now: datetime) -> Object:
    """Status while the file system waits for a mount; `reason` says why it could not grow under its pod."""
    status = _with(claim, {"type": PENDING, "status": "True", "message": f"{PENDING_TEXT} {reason}".strip()}, now)
    return {**status, "conditions": [c for c in status["conditions"] if c["type"] != RESIZING]}


def finished(claim: Object, size: str) -> Object:
    """Status after growth."""
    status = dict(claim.get("status") or {})
    status["conditions"] = [c for c in status.get("conditions") or () if c["type"] not in (RESIZING, PENDING)]
    return {**status, "capacity": {**(status.get("capacity") or {}), "storage": size}}


def _with(claim: Object, condition: Object, now: datetime) -> Object:
    status = claim.get("status") or {}
    return {**status, "conditions": with_condition(status.get("conditions"), condition, now)}
