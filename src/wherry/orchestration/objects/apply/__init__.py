"""Field ownership: server-side apply and the tracking of every other write."""

from wherry.orchestration.objects.apply.applying import apply_patch
from wherry.orchestration.objects.apply.conflict import ApplyConflict, ConflictCause
from wherry.orchestration.objects.apply.tracking import track_update

__all__ = ["ApplyConflict", "ConflictCause", "apply_patch", "track_update"]
