"""Give every node that has none a range of pod addresses.

In:    informer of nodes; the cluster's range.
Out:   spec.podCIDR and spec.podCIDRs; event CIDRNotAvailable.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.node_ipam.decide import NODE_MASK_SIZE, free_range
from wherry.orchestration.objects.kinds import NODES
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, revision_of

COMPONENT = "cidrAllocator"


class Controller:
    """node-ipam-controller. One worker: two nodes must not get one range."""

    def __init__(
        self, client: Client, informers: Informers, recorder: Recorder, clock: Clock, cluster_cidr: str,
        mask_size: int = NODE_MASK_SIZE,
    ) -> None:
        self._client = client
        self._cluster_cidr = cluster_cidr
        self._mask_size = mask_size
        self._recorder = recorder.named(COMPONENT)
        self._nodes = informers.of(NODES)
        self._given: dict[str, str] = {}  # by node, until the informer shows it
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._nodes.wait_synced()
        self._nodes.subscribe(self._node_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, workers=1)

    async def reconcile(self, name: str) -> None:
        """See to one node."""
        node = self._nodes.get(name)
        if node is None or is_deleting(node) or ranges_of(node) or name in self._given:
            return
        taken = [cidr for other in self._nodes.list() for cidr in ranges_of(other)]
        free = free_range(self._cluster_cidr, [*taken, *self._given.values()], self._mask_size)
        if free is None:
            text = f"Node {name} status is now: CIDRNotAvailable"
            self._recorder.event(node, NORMAL, "CIDRNotAvailable", text)
            return
        patch = {"metadata": {"resourceVersion": revision_of(node)}, "spec": {"podCIDR": free, "podCIDRs": [free]}}
        try:
            await self._client.patch(NODES, name, "", patch)
        except NotFound:
            return
        self._given[name] = free

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            if old is not None:
                self._given.pop(name_of(old), None)
            for node in self._nodes.list():  # its range is free again
                if not ranges_of(node):
                    self._queue.add(name_of(node))
        elif ranges_of(new):
            self._given.pop(name_of(new), None)
        else:
            self._queue.add(name_of(new))


def ranges_of(node: Object) -> list[str]:
    """spec.podCIDRs."""
    spec = node.get("spec") or {}
    return spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
