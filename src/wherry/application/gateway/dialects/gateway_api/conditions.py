"""Conditions and reasons in Gateway API's words. Times are added by `statuses.py`.

Spec:  Gateway API v1.6 apis/v1: GatewayConditionType, ListenerConditionType, RouteConditionType and their reasons.
"""

from wherry.orchestration.objects.meta import Object


def condition(kind: str, is_true: bool, reason: str, message: str = "", *, generation: int) -> Object:
    """One condition without its transition time."""
    return {
        "type": kind,
        "status": "True" if is_true else "False",
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
    }


def generation_of(obj: Object) -> int:
    """metadata.generation, 0 when the object has none yet."""
    return int((obj.get("metadata") or {}).get("generation") or 0)
