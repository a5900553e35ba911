"""One Envoy's stream: order, confirmation, refusal, removal, reconnection. The peer is written out here, step by step."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from envoy.service.discovery.v3 import discovery_pb2 as pb

from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.xds.feed import Feed
from wherry.application.gateway.xds.resources import (
    CLUSTER,
    ENDPOINTS,
    LISTENER,
    ROUTES,
    SECRET,
    EnvoyResource,
    ResourceSet,
)
from wherry.application.gateway.xds.session import Session

SOON_S = 5.0


def resources(**by_type: dict[str, str]) -> ResourceSet:
    """A set of (name: version) by the short name of the type."""
    urls = {"cds": CLUSTER, "eds": ENDPOINTS, "sds": SECRET, "lds": LISTENER, "rds": ROUTES}
    return ResourceSet({
        url: {name: EnvoyResource(version.encode(), version) for name, version in by_type.get(short, {}).items()}
        for short, url in urls.items()
    })


@dataclass(slots=True)
class Peer:
    """An Envoy that does only what the test says."""

    session: Session
    sent: "asyncio.Queue[pb.DeltaDiscoveryResponse]" = field(default_factory=asyncio.Queue)
    is_slow: asyncio.Event = field(default_factory=asyncio.Event)

    async def subscribe(self, type_url: str, *names: str, versions: dict[str, str] | None = None) -> None:
        await self.session.receive(pb.DeltaDiscoveryRequest(
            type_url=type_url, resource_names_subscribe=names, initial_resource_versions=versions or {}))

    async def next(self, type_url: str) -> pb.DeltaDiscoveryResponse:
        """The next response, which must be of that type."""
        async with asyncio.timeout(SOON_S):
            response = await self.sent.get()
        assert response.type_url == type_url
        return response

    async def confirm(self, response: pb.DeltaDiscoveryResponse, error: str = "") -> None:
        request = pb.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        if error:
            request.error_detail.message = error
        await self.session.receive(request)

    async def take(self, type_url: str) -> tuple[list[str], list[str]]:
        """(names, removed) of the next response, confirmed."""
        response = await self.next(type_url)
        await self.confirm(response)
        return [resource.name for resource in response.resources], list(response.removed_resources)

    async def settle(self) -> None:
        """Let the session do what it can without us."""
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def peer_of(feed: Feed, *, removal_delay_s: float = 60.0, ack_timeout_s: float = SOON_S) -> AsyncIterator[Peer]:
    settings = GatewaySettings(Path("/nowhere"), cluster_removal_delay_s=removal_delay_s, ack_timeout_s=ack_timeout_s)
    queue: asyncio.Queue[pb.DeltaDiscoveryResponse] = asyncio.Queue()
    is_slow = asyncio.Event()

    async def send(response: pb.DeltaDiscoveryResponse) -> None:
        while is_slow.is_set():
            await asyncio.sleep(0)
        await queue.put(response)

    session = Session(1, feed, settings, send)
    async with asyncio.TaskGroup() as tasks:
        pushing = tasks.create_task(session.push())
        try:
            yield Peer(session, queue, is_slow)
        finally:
            pushing.cancel()


async def begin(peer: Peer) -> None:
    """As Envoy begins: clusters, their endpoints, listeners, their routes."""
    await peer.subscribe(CLUSTER)
    await peer.take(CLUSTER)
    await peer.subscribe(ENDPOINTS, "a")
    await peer.take(ENDPOINTS)
    await peer.settle()
    await peer.subscribe(LISTENER)
    await peer.take(LISTENER)
    await peer.subscribe(ROUTES, "table")
    await peer.take(ROUTES)
    await peer.settle()


ONE = {"cds": {"a": "1"}, "eds": {"a": "1"}, "lds": {"door": "1"}, "rds": {"table": "1"}}


async def test_nobody_is_answered_before_the_first_configuration() -> None:
    feed = Feed()
    async with peer_of(feed) as peer:
        await peer.subscribe(CLUSTER)
        await peer.settle()
        assert peer.sent.empty()
        feed.publish(resources(**ONE))
        assert await peer.take(CLUSTER) == (["a"], [])


async def test_an_empty_configuration_is_answered_too() -> None:
    """Envoy waits for the first answer of clusters and listeners before it serves anything."""
    feed = Feed()
    feed.publish(resources())
    async with peer_of(feed) as peer:
        await peer.subscribe(CLUSTER)
        assert await peer.take(CLUSTER) == ([], [])


async def test_routes_wait_until_new_clusters_have_their_endpoints() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        feed.publish(resources(cds={"a": "1", "b": "1"}, eds={"a": "1", "b": "1"}, lds={"door": "1"}, rds={"table": "2"}))
        response = await peer.next(CLUSTER)
        await peer.settle()
        assert peer.sent.empty()
        await peer.subscribe(ENDPOINTS, "b")  # Envoy asks before it confirms
        endpoints = await peer.next(ENDPOINTS)
        await peer.confirm(response)
        await peer.settle()
        assert peer.sent.empty()
        await peer.confirm(endpoints)
        assert await peer.take(ROUTES) == (["table"], [])


AND_B = {"cds": {"a": "1", "b": "1"}, "eds": {"a": "1", "b": "1"}}


async def test_routes_asked_for_while_something_else_is_being_sent_still_wait_for_new_clusters() -> None:
    """The answer waits for a slow stream, and a new configuration comes meanwhile: the routes are no longer in their turn."""
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        peer.is_slow.set()
        asking = [asyncio.create_task(peer.subscribe(ENDPOINTS, "a")), asyncio.create_task(peer.subscribe(ROUTES, "table"))]
        await peer.settle()
        feed.publish(resources(**AND_B, lds={"door": "1"}, rds={"table": "2"}))
        await peer.settle()
        peer.is_slow.clear()
        await peer.take(ENDPOINTS)
        assert await peer.take(CLUSTER) == (["b"], [])
        await peer.subscribe(ENDPOINTS, "b")
        assert await peer.take(ENDPOINTS) == (["b"], [])
        assert await peer.take(ROUTES) == (["table"], [])
        await asyncio.gather(*asking)


async def test_only_what_changed_is_sent() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        feed.publish(resources(**{**ONE, "eds": {"a": "2"}}))
        assert await peer.take(ENDPOINTS) == (["a"], [])
        await peer.settle()
        assert peer.sent.empty()


async def test_a_changed_cluster_gets_its_endpoints_again() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        feed.publish(resources(**{**ONE, "cds": {"a": "2"}}))
        assert await peer.take(CLUSTER) == (["a"], [])
        assert await peer.take(ENDPOINTS) == (["a"], [])


@pytest.mark.parametrize("comes_back", [False, True], ids=["stays away", "comes back in time"])
async def test_clusters_are_removed_late(comes_back: bool) -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed, removal_delay_s=0.2) as peer:
        await begin(peer)
        feed.publish(resources(lds={"door": "1"}, rds={"table": "2"}))
        assert await peer.take(ROUTES) == (["table"], [])
        await peer.settle()
        assert peer.sent.empty()
        if comes_back:
            feed.publish(resources(**{**ONE, "rds": {"table": "2"}}))
            await asyncio.sleep(0.4)
            assert peer.sent.empty()
        else:
            assert await peer.take(CLUSTER) == ([], ["a"])


async def test_removed_listeners_go_at_once() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        feed.publish(resources(**{**ONE, "lds": {}}))
        assert await peer.take(LISTENER) == ([], ["door"])


async def test_a_refusal_is_kept_by_name_until_the_next_version_is_accepted() -> None:
    feed = Feed()
    reports: list[int] = []
    feed.on_report = lambda: reports.append(len(feed.rejections))
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        feed.publish(resources(**{**ONE, "lds": {"door": "1", "bad": "1"}}))
        await peer.confirm(await peer.next(LISTENER), error="Error adding listener bad: cannot bind")
        assert feed.rejections == {(LISTENER, "bad"): "Error adding listener bad: cannot bind"}
        await peer.settle()
        assert peer.sent.empty()  # the refused version is not sent again
        feed.publish(resources(**{**ONE, "lds": {"door": "1", "bad": "2"}}))
        assert await peer.take(LISTENER) == (["bad"], [])
        assert (feed.rejections, reports) == ({}, [1, 0])


async def test_a_peer_that_comes_back_gets_only_what_it_lacks_and_in_order() -> None:
    feed = Feed()
    feed.publish(resources(cds={"a": "1", "b": "1"}, eds={"a": "1", "b": "1"}, lds={"door": "1"}, rds={"table": "2"}))
    async with peer_of(feed) as peer:
        await peer.subscribe(CLUSTER, versions={"a": "1", "old": "1"})
        await peer.subscribe(ENDPOINTS, "a", "old", versions={"a": "1", "old": "1"})
        await peer.subscribe(LISTENER, versions={"door": "1"})
        await peer.subscribe(ROUTES, "table", versions={"table": "1"})
        clusters = await peer.next(CLUSTER)
        assert [resource.name for resource in clusters.resources] == ["b"] and not clusters.removed_resources
        assert await peer.take(ENDPOINTS) == ([], [])
        await peer.confirm(clusters)
        await peer.subscribe(ENDPOINTS, "b")
        assert await peer.take(ENDPOINTS) == (["b"], [])
        assert await peer.take(LISTENER) == ([], [])
        assert await peer.take(ROUTES) == (["table"], [])


async def test_what_does_not_exist_is_said_to_be_removed() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        await peer.subscribe(SECRET, "gone")
        assert await peer.take(SECRET) == ([], ["gone"])


async def test_asking_again_is_answered_even_when_nothing_changed() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed) as peer:
        await begin(peer)
        await peer.subscribe(ENDPOINTS, "a")
        assert await peer.take(ENDPOINTS) == (["a"], [])


async def test_a_peer_that_never_confirms_is_not_waited_for() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    async with peer_of(feed, ack_timeout_s=0.1) as peer:
        await peer.subscribe(CLUSTER)
        await peer.subscribe(LISTENER)
        await peer.next(CLUSTER)
        await peer.next(LISTENER)


async def test_what_a_slow_peer_says_late_counts_and_only_then_it_has_everything() -> None:
    feed = Feed()
    feed.publish(resources(**ONE))
    feed.streams = 1
    async with peer_of(feed, ack_timeout_s=0.1) as peer:
        await peer.subscribe(CLUSTER)
        await peer.subscribe(LISTENER)
        cluster, listener = await peer.next(CLUSTER), await peer.next(LISTENER)
        await asyncio.sleep(0.3)  # both are not waited for any more
        assert feed.held == ()
        await peer.confirm(cluster)
        assert feed.held == ()
        await peer.confirm(listener, "no")
        assert feed.held == (feed.current,) and feed.rejections == {(LISTENER, "door"): "no"}


async def test_large_sets_are_sent_in_parts() -> None:
    feed = Feed()
    big = {name: EnvoyResource(b"x" * 1_500_000, "1") for name in "abc"}
    feed.publish(ResourceSet({CLUSTER: big}))
    async with peer_of(feed) as peer:
        await peer.subscribe(CLUSTER)
        names = [await peer.take(CLUSTER) for _ in range(3)]
        assert sorted(name for found, _ in names for name in found) == ["a", "b", "c"]


async def test_a_refusal_that_names_nobody_is_narrowed_down_to_the_one_that_is_refused() -> None:
    feed = Feed()
    feed.publish(resources(cds=dict.fromkeys("abcde", "1")))
    async with peer_of(feed) as peer:
        await peer.subscribe(CLUSTER)
        asked = 0
        await peer.confirm(await peer.next(CLUSTER), "constraint validation failed")
        while not feed.rejections:
            response = await peer.next(CLUSTER)
            asked += 1
            await peer.confirm(response, "constraint validation failed" if "d" in {r.name for r in response.resources} else "")
        assert feed.rejections == {(CLUSTER, "d"): "constraint validation failed"}
        assert asked <= 6


async def test_resources_beside_a_named_one_count_as_taken() -> None:
    feed = Feed()
    feed.publish(resources(cds={"default/web/80": "1", "default/web/8080": "1"}))
    async with peer_of(feed) as peer:
        await peer.subscribe(CLUSTER)
        await peer.confirm(await peer.next(CLUSTER), "Error adding/updating cluster(s) default/web/80: bad")
        assert list(feed.rejections) == [(CLUSTER, "default/web/80")]
