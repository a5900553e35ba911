"""Give every node that has none a range of pod addresses.

In:    informer of nodes; the cluster's range.
Out:   spec.podCIDR and spec.podCIDRs; event CIDRNotAvailable.
"""

from collections.abc import Iterable

from wherry.kit.errors import NotFound
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import NORMAL
from wherry.orchestration.controllers.node_ipam.decide import NODE_MASK_SIZE, free_range
from wherry.orchestration.objects.kinds import NODES
from wherry.orchestration.objects.meta import Object, is_deleting, name_of, revision_of, uid_of


def _without_range(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """When a node goes, its range is free for all that wait."""
    for node in (new,) if new is not None else seen[NODES].list():
        if not ranges_of(node):
            yield name_of(node)


class Controller(Loop[str]):
    """node-ipam-controller. One worker: two nodes must not get one range."""

    name = "cidrAllocator"
    watches = (Watch(NODES, _without_range),)

    def __init__(self, tools: Tools, cluster_cidr: str, mask_size: int = NODE_MASK_SIZE) -> None:
        super().__init__(tools)
        self._cluster_cidr = cluster_cidr
        self._mask_size = mask_size
        self._given: dict[str, str] = {}  # by the node's uid, until the informer shows it; it gets no other

    async def reconcile(self, key: str, seen: Seen) -> None:
        """See to one node."""
        node, nodes = seen[NODES].get(key), seen[NODES].list()
        waiting = {uid_of(other) for other in nodes if not ranges_of(other)}
        self._given = {uid: cidr for uid, cidr in self._given.items() if uid in waiting}
        if node is None or is_deleting(node) or ranges_of(node):
            return
        taken = [cidr for other in nodes for cidr in ranges_of(other)]
        free = self._given.get(uid_of(node)) or free_range(
            self._cluster_cidr, [*taken, *self._given.values()], self._mask_size)
        if free is None:
            text = f"Node {key} status is now: CIDRNotAvailable"
            self.recorder.event(node, NORMAL, "CIDRNotAvailable", text)
            return
        patch = {"metadata": {"resourceVersion": revision_of(node)}, "spec": {"podCIDR": free, "podCIDRs": [free]}}
        self._given[uid_of(node)] = free  # before it is asked for: an answer that is lost says nothing of what was done
        try:
            seen.wrote(key, NODES, await self.client.patch(NODES, key, "", patch))
        except NotFound:
            return


def ranges_of(node: Object) -> list[str]:
    """spec.podCIDRs."""
    spec = node.get("spec") or {}
    return spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
