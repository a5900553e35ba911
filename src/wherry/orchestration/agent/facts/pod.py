"""Readers of a Pod that several modules of the agent need. Pure.

Spec: core/v1 Pod; defaults were applied by the API server, so readers only guard static pods and hostile input.
"""

from collections.abc import Iterator
from typing import Any, Literal

from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, uid_of
from wherry.orchestration.objects.well_known import MIRROR_POD_ANNOTATION_KEY

Kind = Literal["init", "app", "ephemeral"]
GRACE_S_DEFAULT = 30


def spec_of(pod: Object) -> Object:
    """spec, {} when absent."""
    return pod.get("spec") or {}


def status_of(pod: Object) -> Object:
    """status, {} when absent."""
    return pod.get("status") or {}


def init_containers(pod: Object) -> list[Object]:
    """spec.initContainers, sidecars included."""
    return spec_of(pod).get("initContainers") or []


def app_containers(pod: Object) -> list[Object]:
    """spec.containers."""
    return spec_of(pod).get("containers") or []


def ephemeral_containers(pod: Object) -> list[Object]:
    """spec.ephemeralContainers."""
    return spec_of(pod).get("ephemeralContainers") or []


def all_containers(pod: Object) -> Iterator[tuple[Kind, Object]]:
    """Every container with its kind, in the order in which they start."""
    yield from (("init", c) for c in init_containers(pod))
    yield from (("app", c) for c in app_containers(pod))
    yield from (("ephemeral", c) for c in ephemeral_containers(pod))


def container_named(pod: Object, name: str) -> Object | None:
    """The container of that name, whatever its kind."""
    return next((c for _, c in all_containers(pod) if c.get("name") == name), None)


def is_sidecar(container: Object) -> bool:
    """A restartable init container (KEP-753)."""
    return bool(container.get("restartPolicy") == "Always")


def restart_policy(pod: Object) -> str:
    """Always | OnFailure | Never."""
    return str(spec_of(pod).get("restartPolicy") or "Always")


def recorded_statuses(pod: Object) -> list[Object]:
    """Every container status that the API has."""
    status = status_of(pod)
    keys = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return [entry for key in keys for entry in status.get(key) or ()]


def phase_of(pod: Object) -> str:
    """status.phase, Pending when absent."""
    return str(status_of(pod).get("phase") or "Pending")


def is_terminal(pod: Object) -> bool:
    """Succeeded or Failed: never reverts."""
    return phase_of(pod) in ("Succeeded", "Failed")


def is_host_network(pod: Object) -> bool:
    """spec.hostNetwork."""
    return bool(spec_of(pod).get("hostNetwork"))


def is_mirror(pod: Object) -> bool:
    """An API object that only shows a static pod."""
    return MIRROR_POD_ANNOTATION_KEY in (pod.get("metadata", {}).get("annotations") or {})


def grace_s(pod: Object) -> float:
    """Seconds between the stop signal and SIGKILL: the deletion's grace beats the spec's."""
    given = pod.get("metadata", {}).get("deletionGracePeriodSeconds") if is_deleting(pod) else None
    if given is None:
        given = spec_of(pod).get("terminationGracePeriodSeconds")
    return float(GRACE_S_DEFAULT if given is None else given)


def describe(pod: Object) -> str:
    """`name_namespace(uid)`: how upstream's messages name a pod."""
    return f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"


def log_folder(pod: Object) -> str:
    """`namespace_name_uid`: the folder of its logs."""
    return f"{namespace_of(pod)}_{name_of(pod)}_{uid_of(pod)}"


def security_value(pod: Object, container: Object, field: str) -> Any:
    """A security context field: the container's value beats the pod's."""
    own = (container.get("securityContext") or {}).get(field)
    return own if own is not None else (spec_of(pod).get("securityContext") or {}).get(field)
