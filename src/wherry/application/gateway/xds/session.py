"""One delta ADS stream: what this Envoy asked for, what it has, what comes next and in which order.

In:    requests of one Envoy; resource sets of the feed.
Out:   responses, through `send`.
Spec:  Envoy xds_protocol, "Incremental xDS" and "Eventual consistency considerations".

Order of an update: clusters, endpoints and secrets, until all are confirmed and each new cluster has its endpoints; then
listeners, confirmed; routes. Inside each half what the peer asks for is answered at once, because Envoy confirms clusters
only after their endpoints came, and listeners only after their routes. Clusters that nobody needs any more are removed
last and late, so that requests under way keep their backend. Removed listeners go with the changed ones. A peer that does
not confirm within `ack_timeout_s` is not waited for. A refused response whose message names none of its resources is sent again
in halves, until the refused one is alone.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from envoy.service.discovery.v3 import discovery_pb2 as pb

from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.xds.feed import Feed, named_in
from wherry.application.gateway.xds.resources import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, TYPES, EnvoyResource, ResourceSet

log = logging.getLogger(__name__)

FIRST = (CLUSTER, ENDPOINTS, SECRET)  # what listeners and routes point at
# A refusal of these does not name its resource, and takes the whole response with it.
ONE_BY_ONE = frozenset({ROUTES, SECRET})
WILDCARD = "*"
NO_VERSION = ""
REFUSAL_LOGGED_MAX = 1024
PAGE_BYTES = 2 * 1024 * 1024  # of one response; gRPC's default limit is 4 MiB

Send = Callable[[pb.DeltaDiscoveryResponse], Awaitable[None]]


@dataclass(slots=True)
class _Subscription:
    """The state of one type on one stream."""

    names: set[str] = field(default_factory=set)
    is_wildcard: bool = False
    is_begun: bool = False
    sent: dict[str, str] = field(default_factory=dict)  # name to version, as the peer has it or is about to
    owed: set[str] = field(default_factory=set)  # to be answered even when unchanged or absent
    owes_answer: bool = False  # the first request is answered even when there is nothing
    unconfirmed: dict[str, dict[str, str]] = field(default_factory=dict)  # nonce to names with their versions
    late: dict[str, dict[str, str]] = field(default_factory=dict)  # those that are not waited for any more

    def wants(self, name: str) -> bool:
        return self.is_wildcard or name in self.names


class Session:
    """See the module docstring. `receive` every request, and run `push`; both from one event loop."""

    def __init__(self, number: int, feed: Feed, settings: GatewaySettings, send: Send) -> None:
        self.number = number
        self._feed = feed
        self._settings = settings
        self._send = send
        self._types = {type_url: _Subscription() for type_url in TYPES}
        self._target = ResourceSet()
        self._advanced: ResourceSet | None = None  # all of it was sent
        self._open: tuple[str, ...] = ()  # types that may be sent just now; the others wait for their turn
        self._lingering: dict[str, float] = {}  # cluster to the loop's time of its removal
        self._lingers = asyncio.Event()
        self._progress = asyncio.Event()
        self._nonces = itertools.count(1)
        self._sending = asyncio.Lock()

    async def receive(self, request: pb.DeltaDiscoveryRequest) -> None:
        """Take in one request; answer it when its type's turn has come."""
        state = self._types.get(request.type_url)
        if state is None:
            log.warning("envoy asked for %s, which is not offered", request.type_url)
            return
        if request.response_nonce:
            await self._confirm(request, state)
        self._subscribe(request, state)
        if request.type_url in self._open:
            await self._flush(request.type_url)
        self._progressed()

    async def push(self) -> None:
        """Bring the peer to each new set, until cancelled."""
        seen = None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remove_lingering(), name="lingering resources")
            while True:
                seen = await self._feed.newer_than(seen)
                await self._advance(seen)
                self._advanced = seen
                self._tell_applied()

    def _tell_applied(self) -> None:
        if self._advanced is not None and not any(state.late for state in self._types.values()):
            self._feed.applied(self.number, self._advanced)

    async def _advance(self, target: ResourceSet) -> None:
        old, self._target = self._target, target
        self._note_lingering()
        self._rewarm(old)
        self._open = FIRST
        for type_url in FIRST:
            await self._flush(type_url)
        await self._until(self._is_warm)
        self._open = TYPES
        for type_url in (LISTENER, ROUTES):
            await self._flush(type_url)
            await self._until(self._is_confirmed)

    async def _confirm(self, request: pb.DeltaDiscoveryRequest, state: _Subscription) -> None:
        is_late = request.response_nonce in state.late
        sent = (state.late if is_late else state.unconfirmed).pop(request.response_nonce, None)
        if sent is None:
            return
        await self._judge(request, sent)
        if is_late:
            self._tell_applied()

    async def _judge(self, request: pb.DeltaDiscoveryRequest, sent: dict[str, str]) -> None:
        if not request.HasField("error_detail"):
            self._feed.accepted(request.type_url, sent)
            return
        message = request.error_detail.message
        log.warning("envoy refused %s: %s", request.type_url.rpartition(".")[2], message[:REFUSAL_LOGGED_MAX])
        if len(sent) < 2:
            self._feed.rejected(request.type_url, sent, message)
        elif named := named_in(message, sent):
            self._feed.rejected(request.type_url, {name: sent[name] for name in named}, message)
            # Envoy takes the others of such a response.
            self._feed.accepted(request.type_url, {name: version for name, version in sent.items() if name not in named})
        else:
            await self._send_apart(request.type_url, list(sent))

    async def _send_apart(self, type_url: str, names: list[str]) -> None:
        """Send these again in two responses, as they are now."""
        async with self._sending:
            state, offered = self._types[type_url], self._target.of(type_url)
            if type_url not in self._open:
                state.sent.update(dict.fromkeys(names, NO_VERSION))  # they are sent when their turn comes
                return
            middle = len(names) // 2
            for half in (names[:middle], names[middle:]):
                response = self._response(type_url)
                for name in half:
                    if name in offered and state.wants(name):
                        self._put(response, state, name, offered[name])
                if response.resources:
                    await self._post(response, state)

    @staticmethod
    def _put(response: pb.DeltaDiscoveryResponse, state: _Subscription, name: str, resource: EnvoyResource) -> None:
        entry = response.resources.add(name=name, version=resource.version)
        entry.resource.type_url, entry.resource.value = response.type_url, resource.value
        state.sent[name] = resource.version

    def _subscribe(self, request: pb.DeltaDiscoveryRequest, state: _Subscription) -> None:
        if not state.is_begun:
            state.is_begun = True
            state.owes_answer = True
            self._take_up(request, state)
            state.is_wildcard = not request.resource_names_subscribe
            if request.type_url == CLUSTER:
                self._note_lingering()
        for name in request.resource_names_subscribe:
            if name == WILDCARD:
                state.is_wildcard = True
            else:
                state.names.add(name)
                if name not in request.initial_resource_versions:
                    state.owed.add(name)
        for name in request.resource_names_unsubscribe:
            if name == WILDCARD:
                state.is_wildcard = False
            state.names.discard(name)
            state.owed.discard(name)
            state.sent.pop(name, None)

    def _take_up(self, request: pb.DeltaDiscoveryRequest, state: _Subscription) -> None:
        """A peer that comes back has confirmed what it holds, if to somebody else."""
        state.sent.update(request.initial_resource_versions)
        current = self._feed.current.of(request.type_url) if self._feed.current else {}
        held = {name: version for name, version in request.initial_resource_versions.items()
                if name in current and current[name].version == version}
        self._feed.accepted(request.type_url, held)

    async def _flush(self, type_url: str) -> None:
        """Send what is owed or changed. Under a lock, so that versions reach the peer in the order they were noted."""
        async with self._sending:
            state = self._types[type_url]
            if not state.is_begun or type_url not in self._open:  # its turn may have ended while this waited for the lock
                return
            offered = self._target.of(type_url)
            changed = [
                name for name, resource in offered.items()
                if state.wants(name) and (name in state.owed or state.sent.get(name) != resource.version)
            ]  # fmt: skip
            gone = [name for name in state.sent if name not in offered and name not in self._lingering_of(type_url)]
            gone += [name for name in state.owed if name not in offered and name not in gone]
            if changed or gone or state.owes_answer:
                await self._respond(type_url, changed, gone)

    async def _respond(self, type_url: str, changed: list[str], gone: list[str]) -> None:
        state, offered = self._types[type_url], self._target.of(type_url)
        state.owed.clear()
        state.owes_answer = False
        response = self._response(type_url)
        response.removed_resources.extend(gone)
        for name in gone:
            state.sent.pop(name, None)
        size = 0
        for name in changed:
            resource = offered[name]
            is_full = type_url in ONE_BY_ONE or size + len(resource.value) > PAGE_BYTES
            if is_full and response.resources:
                await self._post(response, state)
                response, size = self._response(type_url), 0
            self._put(response, state, name, resource)
            size += len(resource.value)
        await self._post(response, state)

    def _response(self, type_url: str) -> pb.DeltaDiscoveryResponse:
        return pb.DeltaDiscoveryResponse(type_url=type_url, nonce=str(next(self._nonces)))

    async def _post(self, response: pb.DeltaDiscoveryResponse, state: _Subscription) -> None:
        state.unconfirmed[response.nonce] = {resource.name: resource.version for resource in response.resources}
        await self._send(response)

    def _rewarm(self, old: ResourceSet) -> None:
        """A changed cluster warms again, which ends only when its endpoints come again, changed or not."""
        before, endpoints = old.of(CLUSTER), self._types[ENDPOINTS]
        for name, resource in self._target.of(CLUSTER).items():
            known = before.get(name)
            if known is not None and known.version != resource.version and name in endpoints.names:
                endpoints.owed.add(name)

    def _is_confirmed(self) -> bool:
        return not any(state.unconfirmed for state in self._types.values())

    def _is_warm(self) -> bool:
        clusters, endpoints = self._types[CLUSTER], self._types[ENDPOINTS]
        return self._is_confirmed() and all(
            name in endpoints.sent or (CLUSTER, name) in self._feed.rejections
            for name in clusters.sent if name in self._target.of(CLUSTER)
        )  # fmt: skip

    async def _until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(self._settings.ack_timeout_s):
                while not holds():
                    await self._progress.wait()
        except TimeoutError:
            log.warning("envoy has not confirmed within %s s, going on", self._settings.ack_timeout_s)
            for state in self._types.values():
                state.late.update(state.unconfirmed)
                state.unconfirmed.clear()

    def _progressed(self) -> None:
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()

    def _note_lingering(self) -> None:
        due = asyncio.get_running_loop().time() + self._settings.cluster_removal_delay_s
        wanted = self._target.of(CLUSTER)
        for name in self._types[CLUSTER].sent:
            if name not in wanted:
                self._lingering.setdefault(name, due)
        for name in [name for name in self._lingering if name in wanted]:
            del self._lingering[name]
        if self._lingering:
            self._lingers.set()

    def _lingering_of(self, type_url: str) -> Iterable[str]:
        return self._lingering if type_url in (CLUSTER, ENDPOINTS) else ()

    async def _remove_lingering(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._lingering:
                self._lingers.clear()
                await self._lingers.wait()
            await asyncio.sleep(max(0.0, min(self._lingering.values(), default=loop.time()) - loop.time()))
            for name in [name for name, due in self._lingering.items() if due <= loop.time()]:
                del self._lingering[name]
            await self._flush(CLUSTER)
