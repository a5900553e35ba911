"""Memory eviction: when the machine runs short, end the pod that should give way first.

In:    what is available and what pods use, every 10 s. Out: at most one pod evicted a round.
Spec:  k8s.io/docs/concepts/scheduling-eviction/node-pressure-eviction: hard threshold memory.available<100Mi, no grace;
       order: uses more than it requested, then lower priority, then how far above its request.
Only memory: disk pressure is reported as a node condition and evicts nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from wherry.orchestration.agent.facts.pod import is_terminal, spec_of
from wherry.orchestration.agent.node import metrics
from wherry.orchestration.agent.node.machine import MEMORY_AVAILABLE_BYTES_MIN, read_pressure
from wherry.orchestration.agent.plan import qos
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, namespace_of, uid_of

log = logging.getLogger(__name__)

CHECK_S = 10.0
MI = 1024 * 1024

Evict = Callable[[str, str], None]  # pod uid, message


class Eviction:
    """`evict(uid, message)` ends a pod with reason Evicted."""

    def __init__(self, parts: Parts, pods: Callable[[], list[Object]], evict: Evict) -> None:
        self._parts = parts
        self._pods = pods
        self._evict = evict

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            pressure = await asyncio.to_thread(read_pressure, self._parts.settings.data_dir)
            if pressure.memory:
                await self.relieve(pressure.memory_available_bytes)

    async def relieve(self, available_bytes: int) -> None:
        """End one pod."""
        pods = self._pods()
        used: dict[str, int] = {}
        for use in await metrics.read_use(self._parts, pods):
            used[use.uid] = used.get(use.uid, 0) + use.working_set_bytes
        order = ranked(pods, used)
        if not order:
            return
        pod = order[0]
        log.warning("memory is short: evicting pod %s/%s", namespace_of(pod), name_of(pod))
        self._evict(
            uid_of(pod),
            f"The node was low on resource: memory. Threshold quantity: {MEMORY_AVAILABLE_BYTES_MIN // MI}Mi, "
            f"available: {available_bytes // 1024}Ki. ",
        )


def ranked(pods: Iterable[Object], used_bytes: Mapping[str, int]) -> list[Object]:
    """Pods that may be evicted, first to go first; `used_bytes` by uid. Pure."""

    def key(pod: Object) -> tuple[bool, int, int]:
        over = used_bytes.get(uid_of(pod), 0) - qos.pod_requests(pod, "memory")
        return (over <= 0, int(spec_of(pod).get("priority") or 0), -over)

    candidates = [p for p in pods if not is_deleting(p) and not is_terminal(p) and not _is_critical(p)]
    return sorted(candidates, key=key)


def _is_critical(pod: Object) -> bool:
    return int(spec_of(pod).get("priority") or 0) >= qos.NODE_CRITICAL_PRIORITY - 1000
