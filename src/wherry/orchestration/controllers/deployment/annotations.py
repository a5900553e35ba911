"""The annotations by which a Deployment and its ReplicaSets keep revisions and sizes: pure.

Spec:  Kubernetes pkg/controller/deployment/util/deployment_util.go.
"""

from collections.abc import Iterable, Mapping

from wherry.orchestration.objects.meta import Object, annotations_of
from wherry.orchestration.objects.well_known import LAST_APPLIED_CONFIG_ANNOTATION

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
NOT_COPIED = frozenset({
    LAST_APPLIED_CONFIG_ANNOTATION, REVISION, REVISION_HISTORY, DESIRED, MAX,
    "deprecated.deployment.rollback.to",
})  # fmt: skip
HISTORY_LENGTH_MAX = 2000


def revision_of_set(obj: Object) -> int:
    """The rollout revision, 0 when absent or no number."""
    return _number(annotations_of(obj).get(REVISION)) or 0


def desired_of(rs: Object) -> int | None:
    """spec.replicas of the Deployment when it last scaled this set."""
    return _number(annotations_of(rs).get(DESIRED))


def max_replicas_of(rs: Object) -> int | None:
    """desired plus surge at that time."""
    return _number(annotations_of(rs).get(MAX))


def next_revision(old: Iterable[Object]) -> int:
    """The revision of the new set: above all old ones."""
    return max(map(revision_of_set, old), default=0) + 1


def annotations_for_set(deployment: Object, rs: Object, revision: int) -> dict[str, str]:
    """The annotations of the new set: the Deployment's, and its revision with the revisions it had before."""
    result = dict(annotations_of(rs))
    result.update({key: value for key, value in annotations_of(deployment).items() if key not in NOT_COPIED})
    before = revision_of_set(rs)
    if before < revision:
        result[REVISION] = str(revision)
        if before:
            history = [*filter(None, result.get(REVISION_HISTORY, "").split(",")), str(before)]
            while len(",".join(history)) > HISTORY_LENGTH_MAX:
                history.pop(0)
            result[REVISION_HISTORY] = ",".join(history)
    return result


def with_sizes(annotations: Mapping[str, str], desired: int, maximum: int) -> dict[str, str]:
    """The annotations with the sizes noted."""
    return {**annotations, DESIRED: str(desired), MAX: str(maximum)}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
