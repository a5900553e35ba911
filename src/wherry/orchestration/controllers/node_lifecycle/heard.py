"""When was each node last heard of? By this process's own clock, so that clocks of nodes need not agree with it.

In:    Nodes and Leases as they are seen.
Out:   seconds of silence.
Spec:  Kubernetes node_lifecycle_controller.go (probeTimestamp): a new renewTime or heartbeat counts when it is seen.
"""

from dataclasses import dataclass, field

from wherry.orchestration.objects.meta import Object, condition_of, name_of


@dataclass(slots=True)
class _Last:
    at: float
    lease: str = ""
    heartbeat: str = ""


@dataclass(slots=True)
class Heard:
    """A node seen for the first time counts as heard of just now."""

    _last: dict[str, _Last] = field(default_factory=dict)

    def see(self, node: Object, lease: Object | None, now: float) -> float:
        """Note what there is, and return for how many seconds the node has been silent."""
        renewed = str(((lease or {}).get("spec") or {}).get("renewTime") or "")
        ready = condition_of((node.get("status") or {}).get("conditions"), "Ready") or {}
        heartbeat = str(ready.get("lastHeartbeatTime") or "")
        last = self._last.setdefault(name_of(node), _Last(now))
        if renewed != last.lease or (heartbeat and heartbeat != last.heartbeat):
            last.at = now
        last.lease, last.heartbeat = renewed or last.lease, heartbeat or last.heartbeat
        return now - last.at

    def forget(self, name: str) -> None:
        """The node is gone."""
        self._last.pop(name, None)
