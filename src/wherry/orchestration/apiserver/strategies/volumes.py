"""Write rules of PersistentVolumes: the status says since when it has its phase.

Spec:  upstream pkg/registry/core/persistentvolume/strategy.go.
"""

from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.objects.meta import Object

SINCE = "lastPhaseTransitionTime"


class VolumeStrategy(Strategy):
    """Whoever writes the status may say the time itself."""

    def __init__(self) -> None:
        super().__init__(has_status=True, initial_status={"phase": "Pending"})

    def stamp(self, obj: Object, old: Object | None, now: str) -> None:
        status, before = obj.get("status") or {}, (old or {}).get("status") or {}
        if not status:
            return
        said = status.get(SINCE)
        if status.get("phase") != before.get("phase"):
            if not said or said == before.get(SINCE):
                status[SINCE] = now
        elif not said and before.get(SINCE):
            status[SINCE] = before[SINCE]
