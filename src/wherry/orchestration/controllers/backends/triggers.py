"""When did what led to this write happen? Upstream's annotation for measuring how long programming the network takes.

In:    a Service and its pods at each reconcile.
Out:   the oldest moment that has become visible since the last one.
Spec:  Kubernetes staging/src/k8s.io/endpointslice/trigger_time_tracker.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from wherry.orchestration.controllers.backends.selection import ready_condition
from wherry.orchestration.objects.meta import Object, key_of, name_of

LAST_CHANGE = "endpoints.kubernetes.io/last-change-trigger-time"


@dataclass(slots=True)
class _Seen:
    service_created: str
    pods: dict[str, str]


@dataclass(slots=True)
class Triggers:
    """Remembers, per Service, the moments seen last."""

    _seen: dict[str, _Seen] = field(default_factory=dict)

    def since_last(self, service: Object, pods: Iterable[Object]) -> str:
        """RFC 3339, or "" when nothing that has a time changed."""
        old = self._seen.get(key_of(service))
        created = str(service["metadata"].get("creationTimestamp") or "")
        new = _Seen(created, {name_of(pod): str((ready_condition(pod) or {}).get("lastTransitionTime") or "") for pod in pods})
        self._seen[key_of(service)] = new
        known = old.pods if old is not None else {}
        moments = [moment for name, moment in new.pods.items() if moment and moment != known.get(name)]
        if old is None or old.service_created != created:
            moments.append(created)
        return min((moment for moment in moments if moment), default="")

    def forget(self, key: str) -> None:
        """The Service is gone."""
        self._seen.pop(key, None)
