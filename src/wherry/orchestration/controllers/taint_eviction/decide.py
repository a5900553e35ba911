"""When must a pod leave its tainted node? Pure.

Spec:  Kubernetes pkg/controller/tainteviction: of all NoExecute taints the shortest toleration counts; one that is not
       tolerated at all means now. Time runs from when the taint was added, so that a restart does not begin it anew.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from wherry.kit.clock import SET_BACK_S, parse_rfc3339
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.placement import tolerates

NO_EXECUTE = "NoExecute"


def no_execute(node: Object | None) -> list[Object]:
    """The taints that evict."""
    return [taint for taint in ((node or {}).get("spec") or {}).get("taints") or () if taint.get("effect") == NO_EXECUTE]


def has_time(taint: Object, now: datetime) -> bool:
    """It says when it was added, and that has been."""
    added = taint.get("timeAdded")
    return bool(added) and parse_rfc3339(str(added)) <= now + timedelta(seconds=SET_BACK_S)


def evict_at(pod: Object, taints: Iterable[Object], now: datetime) -> datetime | None:
    """The moment, `now` when it is due at once, None for never."""
    tolerations = (pod.get("spec") or {}).get("tolerations") or []
    moments = []
    for taint in taints:
        tolerating = [t for t in tolerations if tolerates([t], taint)]
        if not tolerating:
            return now
        limits = [int(t["tolerationSeconds"]) for t in tolerating if t.get("tolerationSeconds") is not None]
        if limits:
            moments.append(_since(taint, now) + timedelta(seconds=max(min(limits), 0)))
    return min(moments, default=None)


def _since(taint: Object, now: datetime) -> datetime:
    added = taint.get("timeAdded")
    return min(parse_rfc3339(added), now) if added else now
