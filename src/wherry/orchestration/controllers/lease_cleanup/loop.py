"""Remove Leases that nobody will renew again: of API servers that are gone, and of nodes that are.

In:    informers of Leases and nodes.
Out:   Leases deleted an hour after they expired.
Spec:  Kubernetes pkg/controlplane/controller/apiserverleasegc; node leases normally go with their node by owner reference.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from wherry.kit.clock import parse_rfc3339
from wherry.kit.errors import NotFound, WherryError
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.objects.kinds import LEASES, NODES
from wherry.orchestration.objects.meta import Object, labels_of, name_of, namespace_of, revision_of, uid_of

log = logging.getLogger(__name__)

NODE_NAMESPACE = "kube-node-lease"
IDENTITY = "apiserver.kubernetes.io/identity"
PERIOD_S = 600.0
EXPIRED_FOR = timedelta(hours=1)


class Controller:
    """apiserver-lease-garbage-collector and its like for nodes."""

    def __init__(self, tools: Tools) -> None:
        self._client, self._clock = tools.client, tools.clock
        self._nodes = tools.informers.of(NODES)

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._nodes.wait_synced()
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.sweep()
            except WherryError as error:
                log.warning("expired leases were not removed: %s", error)

    async def sweep(self) -> None:
        """One pass."""
        now = self._clock.now()
        for lease in (await self._client.list(LEASES)).items:
            if is_abandoned(lease, self._nodes.get(name_of(lease)) is not None, now):
                try:
                    await self._client.delete(
                        LEASES, name_of(lease), namespace_of(lease), uid=uid_of(lease), revision=revision_of(lease)
                    )
                except NotFound:
                    continue


def is_abandoned(lease: Object, has_node: bool, now: datetime) -> bool:
    """`has_node`: a node of its name exists."""
    of_server = namespace_of(lease) == "kube-system" and IDENTITY in labels_of(lease)
    of_node = namespace_of(lease) == NODE_NAMESPACE and not has_node
    spec = lease.get("spec") or {}
    renewed = spec.get("renewTime") or lease["metadata"].get("creationTimestamp")
    if not (of_server or of_node) or not renewed:
        return False
    expires = parse_rfc3339(renewed) + timedelta(seconds=int(spec.get("leaseDurationSeconds") or 0))
    return now - expires > EXPIRED_FOR
