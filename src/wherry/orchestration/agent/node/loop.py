"""Keep this node's Node object and Lease in the API: register, report, renew.

In:    client, machine facts. Out: Node (created when it is missing, labels kept), status on change or every 5 min,
       Lease renewed every quarter of its duration.
"""

import asyncio
import logging

from wherry.container.image.service import ImageService
from wherry.kit.clock import Clock, loop_time, rfc3339_micro
from wherry.kit.errors import AlreadyExists, Conflict, NotFound, WherryError
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.node import objects
from wherry.orchestration.agent.node.machine import Machine, read_pressure
from wherry.orchestration.agent.plan.status_patch import CONTENT_TYPE
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import LEASES, NODES
from wherry.orchestration.objects.meta import Object, labels_of, revision_of

log = logging.getLogger(__name__)

RETRY_S_FIRST = 0.05
RETRY_S_MAX = 5.0


class NodeLoop:
    """`node` is the newest Node object known, {} before registration."""

    def __init__(
        self,
        settings: AgentSettings,
        client: Client,
        images: ImageService,
        machine: Machine,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self.node: Object = {}
        self.not_ready = ""  # why, set by the agent; "" is ready
        self._settings = settings
        self._client = client
        self._images = images
        self._machine = machine
        self._recorder = recorder
        self._clock = clock
        self._reported_at = 0.0

    async def register(self) -> None:
        """Return once the API has the node, however long that takes."""
        delay_s = RETRY_S_FIRST
        while True:
            try:
                self.node = await self._create_or_adopt()
                await self.report()
                break
            except WherryError as error:
                log.warning("node %s not registered: %s", self._settings.node_name, error)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_S_MAX)
        self._recorder.event(self.node, "Normal", "Starting", "Starting kubelet.")
        log.info("node %s registered", self._settings.node_name)

    def saw(self, node: Object) -> None:
        """The Node as the API has it now: labels and taints are other people's to change."""
        if not self.node or int(revision_of(node)) >= int(revision_of(self.node)):
            self.node = node

    async def read(self) -> None:
        """Ask the API for the newest Node."""
        self.saw(await self._client.get(NODES, self._settings.node_name))

    async def run(self) -> None:
        """Report and renew until cancelled; `register` came first."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_reporting(), name="node status")
            tasks.create_task(self._keep_lease(), name="node lease")

    async def report(self) -> None:
        """Send the status if it has news or the last report is old."""
        now = self._clock.now()
        new = objects.status(
            self._machine,
            self._settings,
            await asyncio.to_thread(read_pressure, self._settings.data_dir),
            images=await self._images.images(),
            old=self.node.get("status") or {},
            now=now,
            not_ready=self.not_ready,
        )
        is_old = loop_time() - self._reported_at >= self._settings.node_status_report_s
        if not is_old and self._reported_at and not objects.differs(self.node.get("status") or {}, new):
            return
        body = {"status": {key: value for key, value in new.items() if key not in ("addresses",)}}
        if (self.node.get("status") or {}).get("addresses") != new["addresses"]:
            body["status"]["addresses"] = [{"$patch": "replace"}, *new["addresses"]]
        self.node = await self._client.patch(
            NODES, self._settings.node_name, "", body, content_type=CONTENT_TYPE, subresource="status"
        )
        self._reported_at = loop_time() or 1e-9

    async def _create_or_adopt(self) -> Object:
        wanted = objects.new_node(self._machine, self._settings)
        try:
            return await self._client.create(NODES, wanted)
        except AlreadyExists:
            found = await self._client.get(NODES, self._settings.node_name)
        missing = {k: v for k, v in labels_of(wanted).items() if labels_of(found).get(k) != v}
        patch: Object = {"metadata": {"labels": missing}} if missing else {}
        if self._settings.pod_cidr and not (found.get("spec") or {}).get("podCIDR"):
            patch["spec"] = {"podCIDR": self._settings.pod_cidr, "podCIDRs": [self._settings.pod_cidr]}
        if not patch:
            return found
        return await self._client.patch(NODES, self._settings.node_name, "", patch, content_type=CONTENT_TYPE)

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(self._settings.node_status_period_s)
            try:
                await self.report()
            except NotFound:
                await self.register()  # somebody deleted the Node object
            except WherryError as error:
                log.warning("node status not reported: %s", error)

    async def _keep_lease(self) -> None:
        period_s = self._settings.lease_duration_s / 4
        while True:
            try:
                await self._renew_lease()
            except (Conflict, AlreadyExists):
                continue
            except WherryError as error:
                log.warning("node lease not renewed: %s", error)
            await asyncio.sleep(period_s)

    async def _renew_lease(self) -> None:
        name, now = self._settings.node_name, self._clock.now()
        body = {"spec": {"renewTime": rfc3339_micro(now), "holderIdentity": name}}
        merge = "application/merge-patch+json"
        try:
            await self._client.patch(LEASES, name, objects.LEASE_NAMESPACE, body, content_type=merge)
        except NotFound:
            await self._client.create(
                LEASES, objects.lease(self._settings, self.node, now), objects.LEASE_NAMESPACE
            )
