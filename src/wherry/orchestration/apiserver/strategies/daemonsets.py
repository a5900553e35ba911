"""Write rules of DaemonSets: the server counts their templates in an annotation, which their pods have as a label.

Spec:  upstream pkg/registry/apps/daemonset/strategy.go (templateGeneration), and its place in apps/v1.
"""

import re

import orjson

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.objects.meta import TEMPLATE_GENERATION, Object, annotations_of

COUNT_MAX = 2**63 - 1
_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,19})")


class DaemonSetStrategy(Strategy):
    """A client may say where the count begins, and nothing after that. `ApiError` 400 for what is no int64."""

    def __init__(self) -> None:
        super().__init__(has_status=True, tracks_generation=True, initial_status={
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0})

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _note(obj, max(_asked(obj), 1))

    def prepare_update(self, obj: Object, old: Object) -> None:
        super().prepare_update(obj, old)
        if _said(obj) != _said(old):
            _asked(obj)
        is_new = (obj.get("spec") or {}).get("template") != (old.get("spec") or {}).get("template")
        _note(obj, max(_count(_said(old)) or 0, 1) + is_new)


def _said(obj: Object) -> str:
    return annotations_of(obj).get(TEMPLATE_GENERATION) or "0"


def _asked(obj: Object) -> int:
    text = _said(obj)
    count = _count(text)
    if count is None:
        why = "value out of range" if text.lstrip("+-").isdecimal() else "invalid syntax"
        raise errors.bad_request(
            f'DaemonSet in version "v1" cannot be handled as a DaemonSet: metadata.annotations[{TEMPLATE_GENERATION}]: '
            f"strconv.ParseInt: parsing {orjson.dumps(text[:64]).decode()}: {why}")
    return count


def _count(text: str) -> int | None:
    found = _INTEGER.fullmatch(text)
    count = int(found[1] + found[2]) if found else None
    return count if count is not None and abs(count) <= COUNT_MAX else None


def _note(obj: Object, count: int) -> None:
    obj["metadata"]["annotations"] = {**annotations_of(obj), TEMPLATE_GENERATION: str(count)}
