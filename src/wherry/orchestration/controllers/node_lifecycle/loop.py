"""Notice nodes that fall silent, and taint nodes by their conditions.

In:    informers of nodes, node leases, pods.
Out:   conditions Unknown, taints, pods of silent nodes not ready; events RegisteredNode, NodeNotReady, NodeReady.
Never: evicts; the NoExecute taints do that through `taint_eviction`.
"""

import logging
from collections.abc import Iterable

from wherry.kit.clock import loop_time
from wherry.kit.errors import NotFound
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch, nobody
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.client.workqueue import RETRY_FIRST_S
from wherry.orchestration.controllers.node_lifecycle.decide import GRACE_S, ready_status, silenced, taints_of
from wherry.orchestration.controllers.node_lifecycle.heard import Heard
from wherry.orchestration.controllers.workload.pods import is_ready
from wherry.orchestration.objects.kinds import LEASES, NODES, PODS
from wherry.orchestration.objects.meta import (
    Object,
    annotations_of,
    name_of,
    namespace_of,
    revision_of,
    uid_of,
    with_condition,
)
from wherry.orchestration.objects.well_known import MIRROR_POD_ANNOTATION_KEY

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
MONITOR_S = 5.0  # between two looks at a node, also when one failed
BY_NODE = "node"


def node_name_of(pod: Object) -> list[str]:
    """An indexer: the pod's node."""
    name = (pod.get("spec") or {}).get("nodeName")
    return [name] if name else []


class Controller(Loop[str]):
    """node-lifecycle-controller."""

    name = "node-controller"
    workers = 4
    retry_s = (RETRY_FIRST_S, MONITOR_S)

    def __init__(self, tools: Tools, grace_s: float = GRACE_S) -> None:
        self.watches = (
            Watch(NODES, self._node_changed),
            Watch(LEASES, nobody, LEASE_NAMESPACE),
            Watch(PODS, nobody, indexes={BY_NODE: node_name_of}),
        )
        super().__init__(tools)
        self._grace_s = grace_s
        self._heard = Heard()
        self._known: set[str] = set()  # uids of nodes that were greeted

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        nodes = self._informers.of(NODES)
        await nodes.wait_synced()
        self._known = {uid_of(node) for node in nodes.list()}
        await super().run()

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """Bring conditions and taints of one node up to date; silence is no event, so it is looked for all the time."""
        node, lease = seen[NODES].get(key), seen[LEASES].get(f"{LEASE_NAMESPACE}/{key}")
        if node is None:
            self._heard.forget(key)
            return None
        try:
            if self._heard.see(node, lease, loop_time()) > self._grace_s:
                node = await self._silence(node)
            await self._taint(node, seen)
        except NotFound:
            return MONITOR_S
        if ready_status(node) == "Unknown":
            await self._mark_pods(key, seen)
        return MONITOR_S

    async def _silence(self, node: Object) -> Object:
        conditions = silenced(node, self.clock.now())
        if conditions is None:
            return node
        log.warning("node %s has been silent for over %d s", name_of(node), self._grace_s)
        body = {"metadata": {"resourceVersion": revision_of(node)}, "status": {"conditions": conditions}}
        return await self.client.patch_status(NODES, name_of(node), "", body)

    async def _taint(self, node: Object, seen: Seen) -> None:
        any_ready = ready_status(node) == "True" or any(ready_status(other) == "True" for other in seen[NODES].list())
        taints = taints_of(node, self.clock.now(), evict=any_ready)
        if taints is not None:
            body = {"metadata": {"resourceVersion": revision_of(node)}, "spec": {"taints": taints or None}}
            await self.client.patch(NODES, name_of(node), "", body)

    async def _mark_pods(self, node: str, seen: Seen) -> None:
        """Their kubelet cannot say it: endpoints must not lead to a node that is silent."""
        for pod in seen[PODS].by_index(BY_NODE, node):
            if not is_ready(pod) or MIRROR_POD_ANNOTATION_KEY in annotations_of(pod):
                continue
            self.recorder.event(pod, WARNING, "NodeNotReady", "Node is not ready")
            conditions = with_condition(pod["status"]["conditions"], {"type": "Ready", "status": "False"}, self.clock.now())
            body = {"metadata": {"resourceVersion": revision_of(pod)}, "status": {"conditions": conditions}}
            try:
                await self.client.patch_status(PODS, name_of(pod), namespace_of(pod), body)
            except NotFound:
                continue

    def _node_changed(self, seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
        """Wake the node, and those that the change decides about; tell of it."""
        node = new or old or {}
        yield name_of(node)
        if new is None:
            self._known.discard(uid_of(node))
            self._tell(node, "RemovingNode", f"Node {name_of(node)} event: Removing Node {name_of(node)} from Controller")
        elif uid_of(new) not in self._known:
            self._known.add(uid_of(new))
            text = f"Node {name_of(new)} event: Registered Node {name_of(new)} in Controller"
            self._tell(new, "RegisteredNode", text)
        before, after = ready_status(old or {}), ready_status(new or {})
        if old is not None and new is not None and before != after:
            if before == "True":
                self._tell(new, "NodeNotReady", f"Node {name_of(new)} status is now: NodeNotReady")
            if "True" in (before, after):
                # Whether anybody is ready decides about evictions.
                yield from (name_of(other) for other in seen[NODES].list() if ready_status(other) != "True")

    def _tell(self, node: Object, reason: str, message: str) -> None:
        self.recorder.event(node, NORMAL, reason, message)
