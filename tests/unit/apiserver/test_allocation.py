"""Addresses and node ports of Services have one owner, whichever of several API servers on one store is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid, NotFound, Unavailable, WherryError
from wherry.orchestration.apiserver.allocation.claims import Claim, Claims
from wherry.orchestration.apiserver.allocation.repair import plan
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.strategies.service_values import Value, values
from wherry.orchestration.objects.kinds import IP_ADDRESSES, SERVICES
from wherry.orchestration.objects.meta import Object, key_of, name_of
from wherry.orchestration.store.contract import NoSpace, Store
from wherry.orchestration.store.memory import MemoryStore
from wherry.orchestration.store.sqlite import SqliteStore
from wherry.testing.api import TestApi, api_server

SHARED = ApiServerSettings(is_store_shared=True)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "state.db")
    yield made
    await made.close()


@asynccontextmanager
async def two(store: Store, settings: ApiServerSettings = SHARED) -> AsyncIterator[tuple[TestApi, TestApi]]:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(api_server(store=store, settings=settings)) for _ in range(2)]
        yield first, second


def service(name: str, *, node_port: int = 0, protocol: str = "TCP", **spec: Any) -> Object:
    port = {"port": 80, "protocol": protocol, **({"nodePort": node_port} if node_port else {})}
    return {"metadata": {"name": name}, "spec": {"ports": [port], "selector": {"a": "b"}, **spec}}


async def created(api: TestApi, obj: Object) -> Object | WherryError:
    try:
        return await api.client.create(SERVICES, obj, "default")
    except WherryError as error:
        return error


async def claims(api: TestApi) -> dict[Value, str]:
    await api.server.registry.fresh()
    return {claim.value: claim.owner for claim in Claims(api.server.registry, api.server.clock).all()}


async def wanted(api: TestApi) -> dict[Value, str]:
    """What the Services have."""
    found = (await api.client.list(SERVICES)).items
    return {value: key_of(one) for one in found for value in values(one["spec"])}


async def test_two_servers_give_out_every_address_once_and_then_say_that_the_range_is_full(store: Store) -> None:
    async with two(store, replace(SHARED, service_cidr=IPv4Network("10.96.0.0/27"))) as servers:
        made = await asyncio.gather(*(created(servers[number % 2], service(f"s{number}")) for number in range(40)))
        addresses = [one["spec"]["clusterIP"] for one in made if isinstance(one, dict)]
        refused = [str(one) for one in made if not isinstance(one, dict)]
        assert len(addresses) == len(set(addresses)) == 32 - 3, "two ends of the range and Service kubernetes"
        assert all("range is full" in text for text in refused) and len(refused) == 40 - len(addresses)
        assert await claims(servers[0]) == await claims(servers[1]) == await wanted(servers[0])


async def test_two_servers_give_out_every_node_port_once(store: Store) -> None:
    async with two(store, replace(SHARED, node_ports=(30000, 30019))) as servers:
        made = await asyncio.gather(*(
            created(servers[number % 2], service(f"s{number}", type="NodePort")) for number in range(30)))
        ports = [one["spec"]["ports"][0]["nodePort"] for one in made if isinstance(one, dict)]
        assert sorted(ports) == list(range(30000, 30020))
        assert await claims(servers[1]) == await wanted(servers[1])


@pytest.mark.parametrize(("fields", "why"), [
    pytest.param({"clusterIP": "10.96.7.7"}, "provided IP is already allocated", id="address"),
    pytest.param({"type": "NodePort", "node_port": 30123}, "provided port is already allocated", id="node port"),
])
async def test_of_many_that_ask_for_one_value_by_name_one_gets_it(store: Store, fields: dict[str, Any], why: str) -> None:
    async with two(store) as servers:
        made = await asyncio.gather(*(created(servers[n % 2], service(f"s{n}", **fields)) for n in range(10)))
        refused = [one for one in made if not isinstance(one, dict)]
        assert len(refused) == 9 and all(isinstance(one, Invalid) and why in str(one) for one in refused)
        assert await claims(servers[0]) == await wanted(servers[0])


async def test_a_named_port_of_health_checks_is_claimed_like_any_other(store: Store) -> None:
    async with two(store) as (first, second):
        await first.client.create(SERVICES, service("a", type="NodePort", node_port=30123), "default")
        fields = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
        for port, why in ((30123, "already allocated"), (22, "not in the valid range")):
            refused = await created(second, service("b", healthCheckNodePort=port, **fields))
            assert isinstance(refused, Invalid) and f"spec.healthCheckNodePort: Invalid value: {port}: provided port" in str(refused)
            assert why in str(refused)
        made = await created(second, service("b", healthCheckNodePort=30124, **fields))
        assert isinstance(made, dict) and ("TCP", 30124) in await claims(first)
        assert await claims(first) == await wanted(first)


async def test_what_was_deleted_on_one_server_is_free_at_once_on_the_other(store: Store) -> None:
    async with two(store) as (first, second):
        fields = {"clusterIP": "10.96.7.7", "type": "NodePort", "node_port": 30123}
        for number in range(20):
            one, other = (first, second) if number % 2 else (second, first)
            made = await created(one, service(f"s{number}", **fields))
            assert isinstance(made, dict), made
            await other.client.delete(SERVICES, name_of(made), "default")


async def test_a_change_of_type_gives_back_what_is_not_needed_any_more(store: Store) -> None:
    async with two(store) as (first, second):
        await first.client.create(SERVICES, service("a", type="NodePort", node_port=30123, clusterIP="10.96.7.7"), "default")

        async def change(**spec: Any) -> None:
            await second.client.patch(SERVICES, "a", "default", {"spec": spec}, content_type="application/merge-patch+json")
            assert await claims(first) == await wanted(first)

        await change(type="ClusterIP")
        assert ("TCP", 30123) not in await claims(first) and "10.96.7.7" in await claims(first)
        await change(type="NodePort", ports=[{"port": 80, "nodePort": 30124}])
        await change(ports=[{"port": 80, "nodePort": 30125}])
        await change(type="LoadBalancer", externalTrafficPolicy="Local")
        assert len(await claims(first)) == 4, "address, node port, port of health checks; Service kubernetes"
        await change(type="ExternalName", externalName="a.example")
        assert set(await claims(first)) == {"10.96.0.1"}


async def test_what_is_refused_or_tried_dry_claims_nothing(store: Store) -> None:
    async with two(store) as (first, second):
        await first.client.create(SERVICES, service("a", type="NodePort", node_port=30123), "default")
        before = await claims(first)
        for fields in ({"type": "NodePort", "node_port": 30123}, {"clusterIP": "10.1.1.1"}, {"type": "NodePort", "node_port": 22}):
            assert isinstance(await created(second, service("b", **fields)), Invalid)
        assert isinstance(await created(second, service("a", type="NodePort")), WherryError), "the name is taken"
        for fields, status in (({"clusterIP": "10.96.9.9"}, 201), ({"node_port": 30123, "type": "NodePort"}, 422)):
            body = orjson.dumps({"apiVersion": "v1", "kind": "Service", **service("dry", **fields)})
            reply = await second.client.request("POST", "/api/v1/namespaces/default/services", query={"dryRun": "All"}, body=body)
            assert reply.status == status
        assert await claims(second) == before


async def test_addresses_are_shown_as_upstreams_ipaddresses(store: Store) -> None:
    async with api_server(store=store) as api:
        made = await api.client.create(SERVICES, service("a"), "default")
        found = await api.client.get(IP_ADDRESSES, made["spec"]["clusterIP"])
        assert found["spec"] == {"parentRef": {"resource": "services", "namespace": "default", "name": "a"}}
        assert found["metadata"]["labels"] == {
            "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
        await api.client.delete(SERVICES, "a", "default")
        with pytest.raises(NotFound):
            await api.client.get(IP_ADDRESSES, made["spec"]["clusterIP"])


async def test_at_the_start_of_the_only_server_what_an_earlier_one_left_is_mended(store: Store) -> None:
    async with api_server(store=store) as api:
        kept = await api.client.create(SERVICES, service("kept", type="NodePort", node_port=30200), "default")
        held = Claims(api.server.registry, api.server.clock)
        for value in ("10.96.7.7", ("TCP", 30123)):  # a server that died before it wrote the Service
            await held.take(value, "default/dead")
        for value in values(kept["spec"]):  # an older version made none
            claim = await held.held(value)
            assert claim is not None
            await held.give_back(claim)
        # a user's own IPAddress is not ours to remove
        body = {"metadata": {"name": "192.0.2.9"}, "spec": {"parentRef": {"group": "x.y", "resource": "things", "name": "t"}}}
        await api.client.create(IP_ADDRESSES, body)
    async with api_server(store=store) as api:
        assert await claims(api) == await wanted(api)
        assert (await api.client.get(IP_ADDRESSES, "192.0.2.9"))["spec"]["parentRef"]["name"] == "t"
        made = await created(api, service("dead", clusterIP="10.96.7.7", type="NodePort", node_port=30123))
        assert isinstance(made, dict)


async def test_beside_another_server_a_claim_that_may_still_get_its_service_is_given_back_a_period_later(store: Store) -> None:
    async with two(store) as (first, second):
        await Claims(first.server.registry, first.server.clock).take("10.96.7.7", "default/under-way")
        await second.server.repair.once()
        assert "10.96.7.7" in await claims(second)
        await second.server.repair.once()
        assert "10.96.7.7" not in await claims(second)


class Doubtful(MemoryStore):
    """Writes a Service and loses the answer, once."""

    is_armed = False

    async def put(self, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
        revision = await super().put(key, value, expected=expected, frees=frees)
        if self.is_armed and "/services/" in key:
            self.is_armed = False
            raise Unavailable("connection lost")
        return revision


async def test_a_write_whose_outcome_is_unknown_keeps_its_claims() -> None:
    doubtful = Doubtful()
    async with api_server(store=doubtful) as api:
        doubtful.is_armed = True
        assert isinstance(await created(api, service("a", clusterIP="10.96.7.7")), WherryError)
        refused = await created(api, service("b", clusterIP="10.96.7.7"))
        assert isinstance(refused, Invalid) and "already allocated" in str(refused)
        assert await claims(api) == await wanted(api)


class Full(MemoryStore):
    """Takes nothing new once it is full."""

    is_full = False

    async def put(self, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
        if self.is_full and not frees:
            raise NoSpace("no space left on the disk; nothing was written")
        return await super().put(key, value, expected=expected, frees=frees)


async def test_on_a_full_disk_the_server_starts_and_what_is_refused_claims_nothing() -> None:
    full = Full()
    async with api_server(store=full) as api:
        await api.client.create(SERVICES, service("a"), "default")
        claim = await Claims(api.server.registry, api.server.clock).held("10.96.0.1")
        assert claim is not None
        await Claims(api.server.registry, api.server.clock).give_back(claim)  # as older data are
        full.is_full = True
    async with api_server(store=full) as api:
        assert isinstance(await created(api, service("b", clusterIP="10.96.7.7")), Unavailable)
        await api.client.delete(SERVICES, "a", "default")
        assert await claims(api) == {}
        full.is_full = False
        await api.server.repair.once()
        assert await claims(api) == await wanted(api) == {"10.96.0.1": "default/kubernetes"}


OWNERS = st.sampled_from(["n/a", "n/b", "n/c"])
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from(["10.96.0.5", "10.96.0.6"]), st.tuples(st.sampled_from(["TCP", "UDP"]), st.integers(30000, 30002)))


@given(st.dictionaries(OWNERS, st.frozensets(VALUES)), st.dictionaries(VALUES, OWNERS))
def test_repaired_claims_are_those_of_the_services(services: dict[str, frozenset[Value]], held: dict[Value, str]) -> None:
    for _ in range(2):  # what somebody held without right is given back first, and claimed by its owner in the next pass
        found = plan(services, [Claim(value, owner, 1) for value, owner in held.items()])
        assert not {claim.value for claim in found.stale} & found.missing.keys()
        held = {v: o for v, o in held.items() if Claim(v, o, 1) not in found.stale} | dict(found.missing)
    last = plan(services, [Claim(value, owner, 1) for value, owner in held.items()])
    assert not last.missing and not last.stale
    assert held.keys() == {value for has in services.values() for value in has}
    assert all(value in services[owner] for value, owner in held.items())
    several = {value for value in held if sum(value in has for has in services.values()) > 1}
    assert {value for value, _, _ in last.disputed} == several
