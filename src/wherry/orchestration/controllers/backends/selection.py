"""Which pods stand behind which Service, quickly both ways, and which changes of a pod matter to its Services.

In:    informers of Services and pods.
Out:   indexes for rows of a loop, and which Services a change wakes; the pods a Service selects.
Cost:  a pod finds its Services by one index lookup per label, a Service its pods by the rarest of its labels.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from wherry.orchestration.client.informer import Indexer, Informer
from wherry.orchestration.client.loop_kit import Seen
from wherry.orchestration.objects.kinds import SERVICES
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, labels_of, namespace_of
from wherry.orchestration.objects.well_known import LABEL_TOPOLOGY_ZONE

BY_LABEL = "label"
BY_SELECTOR = "selector-label"
FINISHED = ("Succeeded", "Failed")


def selector_of(service: Object) -> dict[str, str]:
    """spec.selector; {} when somebody else keeps the endpoints."""
    return (service.get("spec") or {}).get("selector") or {}


def has_pods(service: Object) -> bool:
    """True when the endpoints of this Service come from pods."""
    return bool(selector_of(service)) and (service.get("spec") or {}).get("type") != "ExternalName"


def _labels(obj: Object, pairs: Iterable[tuple[str, str]]) -> list[str]:
    namespace = namespace_of(obj)
    return [f"{namespace}/{name}={value}" for name, value in pairs]


# What makes the lookups of this module quick.
OF_SERVICES: Mapping[str, Indexer] = {BY_SELECTOR: lambda service: _labels(service, list(selector_of(service).items())[:1])}
OF_PODS: Mapping[str, Indexer] = {BY_LABEL: lambda pod: _labels(pod, labels_of(pod).items())}


def pods_of(service: Object, pods: Informer) -> list[Object]:
    """The pods its selector matches, whatever their state."""
    wanted = selector_of(service)
    found = min((pods.by_index(BY_LABEL, label) for label in _labels(service, wanted.items())), key=len, default=[])
    return [pod for pod in found if wanted.items() <= labels_of(pod).items()]


def services_of(pod: Object, services: Informer) -> list[Object]:
    """The Services whose selector matches the pod."""
    labels = labels_of(pod)
    found = [s for label in _labels(pod, labels.items()) for s in services.by_index(BY_SELECTOR, label)]
    return [service for service in found if has_pods(service) and selector_of(service).items() <= labels.items()]


def is_endpoint(pod: Object, *, with_terminating: bool) -> bool:
    """True when the pod has an address that traffic may know of, ready or not."""
    status = pod.get("status") or {}
    if status.get("phase") in FINISHED or not (status.get("podIP") or status.get("podIPs")):
        return False
    return with_terminating or not is_deleting(pod)


def is_ready(pod: Object) -> bool:
    """Condition Ready is True."""
    return (ready_condition(pod) or {}).get("status") == "True"


def ready_condition(pod: Object) -> Object | None:
    """The Ready condition."""
    return next((c for c in (pod.get("status") or {}).get("conditions") or () if c.get("type") == "Ready"), None)


def services_touched(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """A change of a pod that shows in endpoints wakes its Services."""
    if old is not None and new is not None and _visible(old) == _visible(new):
        return ()
    return sorted({key_of(service) for pod in (old, new) if pod is not None for service in services_of(pod, seen[SERVICES])})


def _visible(pod: Object) -> tuple[Any, ...]:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    return (
        status.get("podIP"), status.get("podIPs"), status.get("phase") in FINISHED, is_ready(pod), is_deleting(pod),
        labels_of(pod), spec.get("nodeName"), spec.get("hostname"), spec.get("subdomain"),
        [container.get("ports") for container in spec.get("containers") or ()],
    )  # fmt: skip


def services_on_zone_change(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """A node's zone that becomes known or changes wakes every Service."""
    is_same = labels_of(old or {}).get(LABEL_TOPOLOGY_ZONE) == labels_of(new or {}).get(LABEL_TOPOLOGY_ZONE)
    return () if is_same else map(key_of, seen[SERVICES].list())
