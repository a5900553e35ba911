"""Write rules of Jobs: the server makes the selector and the labels that tie pods to their Job.

Spec:  upstream pkg/registry/batch/job/strategy.go (generateSelector); defaults of batch/v1 (labels of the template).
"""

from wherry.orchestration.apiserver.strategies.strategy import Strategy
from wherry.orchestration.objects.meta import Object, labels_of, name_of, uid_of

PREFIX = "batch.kubernetes.io/"


class JobStrategy(Strategy):
    """With `manualSelector` the user's selector and labels stay as they are."""

    def __init__(self) -> None:
        super().__init__(has_status=True, tracks_generation=True, initial_status={})

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        spec = obj.get("spec") or {}
        template = spec.get("template")
        if not isinstance(template, dict) or spec.get("manualSelector"):
            return
        metadata = template.setdefault("metadata", {})
        labels = dict(metadata.get("labels") or {})
        are_shared = labels_of(obj) == labels  # upstream's default of the Job's own labels is the template's, not a copy of them
        for prefix in ("", PREFIX):
            labels[f"{prefix}controller-uid"] = uid_of(obj)
            labels[f"{prefix}job-name"] = name_of(obj)
        metadata["labels"] = labels
        if are_shared:
            obj["metadata"]["labels"] = dict(labels)
        selector = spec.setdefault("selector", {})
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), f"{PREFIX}controller-uid": uid_of(obj)}
