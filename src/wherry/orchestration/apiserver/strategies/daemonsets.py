"""Write rules of DaemonSets: the server counts their templates in an annotation, which their pods have as a label.

Spec:  upstream pkg/registry/apps/daemonset/strategy.go (templateGeneration), and its place in apps/v1.
"""

from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.objects.meta import Object, annotations_of

GENERATION_ANNOTATION = "deprecated.daemonset.template.generation"


class DaemonSetStrategy(Strategy):
    """A client may say where the count begins, and nothing after that."""

    def __init__(self) -> None:
        super().__init__(has_status=True, tracks_generation=True, initial_status={
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0})

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _note(obj, max(_count(obj), 1))

    def prepare_update(self, obj: Object, old: Object) -> None:
        super().prepare_update(obj, old)
        is_new = (obj.get("spec") or {}).get("template") != (old.get("spec") or {}).get("template")
        _note(obj, max(_count(old), 1) + is_new)


def _count(obj: Object) -> int:
    text = annotations_of(obj).get(GENERATION_ANNOTATION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _note(obj: Object, count: int) -> None:
    obj["metadata"]["annotations"] = {**annotations_of(obj), GENERATION_ANNOTATION: str(count)}
