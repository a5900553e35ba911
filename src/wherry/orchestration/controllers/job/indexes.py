"""Sets of completion indexes as the API writes them: `1,3-5,7`.

Spec:  Kubernetes pkg/controller/job/indexed_job_utils.go: a run of two is written `3,4`, longer ones `3-5`.
"""

from collections.abc import Iterable, Iterator

from wherry.orchestration.objects.meta import Object, annotations_of, labels_of
from wherry.orchestration.objects.well_known import JOB_COMPLETION_INDEX_ANNOTATION


def parse(text: str, limit: int) -> set[int]:
    """The indexes below `limit` that `text` names."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), min(int(last or first), limit - 1) + 1))
    return {index for index in found if index < limit}


def text_of(indexes: Iterable[int]) -> str:
    """The compact text."""
    parts = []
    for first, last in _runs(indexes):
        if first == last:
            parts.append(str(first))
        else:
            parts.append(f"{first},{last}" if last == first + 1 else f"{first}-{last}")
    return ",".join(parts)


def index_of(pod: Object) -> int | None:
    """The completion index of a pod, None when it has none."""
    text = annotations_of(pod).get(JOB_COMPLETION_INDEX_ANNOTATION) or labels_of(pod).get(JOB_COMPLETION_INDEX_ANNOTATION) or ""
    return int(text) if text.isdecimal() else None


def is_indexed(job: Object) -> bool:
    """spec.completionMode is Indexed."""
    return str(job["spec"].get("completionMode")) == "Indexed"


def _runs(indexes: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for index in sorted(indexes):
        if last is not None and first is not None and index == last + 1:
            last = index
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = index
    if first is not None and last is not None:
        yield first, last
