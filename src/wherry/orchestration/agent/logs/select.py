"""Which run of a container a log request means, or why there is none. Pure.

Spec: texts of kubelet's validateContainerLogStatus.
"""

from collections.abc import Sequence

from wherry.container.runtime.engine import ContainerStatus, State
from wherry.kit.errors import Invalid, NotFound
from wherry.orchestration.agent.facts.pod import container_named, recorded_statuses
from wherry.orchestration.objects.meta import Object, name_of


def chosen_run(pod: Object, container: str, runs: Sequence[ContainerStatus], *, previous: bool) -> ContainerStatus:
    """Raise `NotFound` (no such container) or `Invalid` (has not run yet)."""
    if container_named(pod, container) is None:
        raise NotFound(f'container "{container}" not found in pod "{name_of(pod)}"')
    shown = next((s for s in recorded_statuses(pod) if s.get("name") == container), {})
    waiting = (shown.get("state") or {}).get("waiting") or {}
    if previous:
        return _previous(pod, container, runs, is_waiting=bool(waiting))
    begun = [run for run in runs if run.state != State.CREATED]
    if begun:
        return begun[-1]
    reason = str(waiting.get("reason") or "ContainerCreating")
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        reason = "trying and failing to pull image"
    elif reason == "InvalidImageName":
        reason = "image name is invalid"
    raise Invalid(f'container "{container}" in pod "{name_of(pod)}" is waiting to start: {reason}')


def _previous(pod: Object, container: str, runs: Sequence[ContainerStatus], *, is_waiting: bool) -> ContainerStatus:
    ended = [run for run in runs if run.state == State.EXITED]
    if runs and runs[-1].state == State.EXITED and not is_waiting:
        ended = ended[:-1]
    if not ended:
        raise Invalid(f'previous terminated container "{container}" in pod "{name_of(pod)}" not found')
    return ended[-1]
