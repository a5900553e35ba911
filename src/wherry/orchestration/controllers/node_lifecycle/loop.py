"""Notice nodes that fall silent, and taint nodes by their conditions.

In:    informers of nodes, node leases, pods.
Out:   conditions Unknown, taints, pods of silent nodes not ready; events RegisteredNode, NodeNotReady, NodeReady.
Never: evicts; the NoExecute taints do that through `taint_eviction`.
"""

import asyncio
import logging

from wherry.kit.clock import Clock, loop_time
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
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

log = logging.getLogger(__name__)

COMPONENT = "node-controller"
LEASE_NAMESPACE = "kube-node-lease"
MONITOR_S = 5.0
WORKERS = 4
BY_NODE = "node"


def node_name_of(pod: Object) -> list[str]:
    """An indexer: the pod's node."""
    name = (pod.get("spec") or {}).get("nodeName")
    return [name] if name else []


class Controller:
    """node-lifecycle-controller."""

    def __init__(
        self, client: Client, informers: Informers, recorder: Recorder, clock: Clock, grace_s: float = GRACE_S
    ) -> None:
        self._client = client
        self._clock = clock
        self._grace_s = grace_s
        self._recorder = recorder.named(COMPONENT)
        self._nodes = informers.of(NODES)
        self._leases = informers.of(LEASES, LEASE_NAMESPACE)
        self._pods = informers.of(PODS)
        self._heard = Heard()
        self._known: set[str] = set()  # uids of nodes that were greeted
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        self._pods.add_index(BY_NODE, node_name_of)
        for informer in (self._nodes, self._leases, self._pods):
            await informer.wait_synced()
        self._known = {uid_of(node) for node in self._nodes.list()}
        self._nodes.subscribe(self._node_changed)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._monitor(), name="node monitor")
            tasks.create_task(run_controller(COMPONENT, self._queue, self.reconcile, WORKERS), name=COMPONENT)

    async def _monitor(self) -> None:
        while True:
            now = loop_time()
            for node in self._nodes.list():
                silent_s = self._heard.see(node, self._leases.get(f"{LEASE_NAMESPACE}/{name_of(node)}"), now)
                if silent_s > self._grace_s:
                    self._queue.add(name_of(node))
            await asyncio.sleep(MONITOR_S)

    async def reconcile(self, name: str) -> None:
        """Bring conditions and taints of one node up to date."""
        node = self._nodes.get(name)
        if node is None:
            self._heard.forget(name)
            return
        lease = self._leases.get(f"{LEASE_NAMESPACE}/{name}")
        try:
            if self._heard.see(node, lease, loop_time()) > self._grace_s:
                node = await self._silence(node)
            await self._taint(node)
        except NotFound:
            return
        if ready_status(node) == "Unknown":
            await self._mark_pods(name)

    async def _silence(self, node: Object) -> Object:
        conditions = silenced(node, self._clock.now())
        if conditions is None:
            return node
        log.warning("node %s has been silent for over %d s", name_of(node), self._grace_s)
        body = {"metadata": {"resourceVersion": revision_of(node)}, "status": {"conditions": conditions}}
        return await self._client.patch_status(NODES, name_of(node), "", body)

    async def _taint(self, node: Object) -> None:
        any_ready = ready_status(node) == "True" or any(ready_status(other) == "True" for other in self._nodes.list())
        taints = taints_of(node, self._clock.now(), evict=any_ready)
        if taints is not None:
            body = {"metadata": {"resourceVersion": revision_of(node)}, "spec": {"taints": taints or None}}
            await self._client.patch(NODES, name_of(node), "", body)

    async def _mark_pods(self, node: str) -> None:
        """Their kubelet cannot say it: endpoints must not lead to a node that is silent."""
        for pod in self._pods.by_index(BY_NODE, node):
            if not is_ready(pod) or "kubernetes.io/config.mirror" in annotations_of(pod):
                continue
            self._recorder.event(pod, WARNING, "NodeNotReady", "Node is not ready")
            conditions = with_condition(pod["status"]["conditions"], {"type": "Ready", "status": "False"}, self._clock.now())
            body = {"metadata": {"resourceVersion": revision_of(pod)}, "status": {"conditions": conditions}}
            try:
                await self._client.patch_status(PODS, name_of(pod), namespace_of(pod), body)
            except NotFound:
                continue

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        node = new or old or {}
        self._queue.add(name_of(node))
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
                self._wake_others()  # whether anybody is ready decides about evictions

    def _wake_others(self) -> None:
        for node in self._nodes.list():
            if ready_status(node) != "True":
                self._queue.add(name_of(node))

    def _tell(self, node: Object, reason: str, message: str) -> None:
        self._recorder.event(node, NORMAL, reason, message)
