"""Remove pods that no kubelet will: of missing nodes, never scheduled, beyond the threshold of finished ones.

In:    informers of pods and nodes.
Out:   pods deleted by force; unfinished ones turn Failed first, with condition DisruptionTarget.
Promise: a node counts as missing only after `QUARANTINE_S`, and after the server was asked.
"""

import asyncio
import logging

from wherry.kit.clock import loop_time
from wherry.kit.errors import NotFound, WherryError
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.controllers.pod_gc import decide
from wherry.orchestration.controllers.pod_gc.decide import Removal
from wherry.orchestration.objects.kinds import NODES, PODS
from wherry.orchestration.objects.meta import Object, key_of, name_of, namespace_of, uid_of, with_condition

log = logging.getLogger(__name__)

PERIOD_S = 20.0
QUARANTINE_S = 40.0


class Controller:
    """pod-garbage-collector-controller."""

    def __init__(self, tools: Tools) -> None:
        self._client, self._clock = tools.client, tools.clock
        self._pods, self._nodes = tools.informers.of(PODS), tools.informers.of(NODES)
        self._missing_since: dict[str, float] = {}

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._pods.wait_synced()
        await self._nodes.wait_synced()
        while True:
            await self.sweep()
            await asyncio.sleep(PERIOD_S)

    async def sweep(self) -> None:
        """One pass; what fails is tried again in the next."""
        pods = self._pods.list()
        removals = [
            *decide.surplus(pods), *decide.unscheduled(pods), *decide.out_of_service(pods, self._nodes.get),
            *decide.orphaned(pods, await self._gone(decide.missing_nodes(pods, self._nodes.get))),
        ]  # fmt: skip
        for removal in {uid_of(r.pod): r for r in removals}.values():
            try:
                await self._remove(removal)
            except NotFound:
                continue
            except WherryError as error:
                log.warning("pod %s was not removed: %s", key_of(removal.pod), error)

    async def _gone(self, missing: set[str]) -> list[str]:
        now = loop_time()
        self._missing_since = {name: self._missing_since.get(name, now) for name in missing}
        return [
            name for name, since in self._missing_since.items()
            if now - since >= QUARANTINE_S and not await self._exists(name)
        ]  # fmt: skip

    async def _exists(self, node: str) -> bool:
        try:
            await self._client.get(NODES, node)
        except NotFound:
            return False
        except WherryError as error:
            log.warning("node %s could not be looked up, its pods stay: %s", node, error)
        return True

    async def _remove(self, removal: Removal) -> None:
        pod = removal.pod
        if not decide.is_finished(pod):
            status: Object = {"phase": "Failed"}
            if removal.why:
                condition = {
                    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": removal.why,
                }  # fmt: skip
                conditions = (pod.get("status") or {}).get("conditions")
                status |= {"conditions": with_condition(conditions, condition, self._clock.now())}
            body = {"metadata": {"uid": uid_of(pod)}, "status": status}
            await self._client.patch_status(PODS, name_of(pod), namespace_of(pod), body)
        log.info("pod %s removed: %s", key_of(pod), removal.why or "nobody else would")
        await self._client.delete(PODS, name_of(pod), namespace_of(pod), uid=uid_of(pod), grace_s=0)
