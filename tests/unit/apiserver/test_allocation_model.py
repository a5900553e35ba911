"""Two API servers on one store beside a plain model of who has which cluster address and node port."""

import asyncio
from contextlib import AsyncExitStack
from ipaddress import IPv4Network
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from wherry.kit.errors import AlreadyExists, Invalid, WherryError
from wherry.orchestration.apiserver.allocation.claims import Claims
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.strategies.service_values import Value, values
from wherry.orchestration.objects.kinds import SERVICES
from wherry.orchestration.objects.meta import Object, key_of
from wherry.orchestration.store.memory import MemoryStore
from wherry.testing.api import TestApi, api_server
from wherry.testing.state_machines import LoopMachine, holds
from wherry.testing.virtual_time import VirtualLoop

CIDR, PORTS = IPv4Network("10.96.0.0/28"), (30000, 30004)
ADDRESSES = [str(CIDR[number]) for number in range(1, 15)]
KUBERNETES = ADDRESSES[0]
SETTINGS = ApiServerSettings(
    service_cidr=CIDR, node_ports=PORTS, is_store_shared=True, compaction_period_s=1e9, request_timeout_s=1e9)
NAMES = st.sampled_from([f"s{number}" for number in range(20)])
SERVERS = st.sampled_from([0, 1])
KINDS = st.sampled_from(["ClusterIP", "NodePort", "Headless", "LoadBalancer"])
NAMED = st.just("") | st.sampled_from(ADDRESSES)
NAMED_PORT = st.just(0) | st.integers(PORTS[0] - 1, PORTS[1] + 1)


def service(name: str, kind: str, address: str = "", port: int = 0) -> Object:
    """A LoadBalancer asks for the port of health checks as well."""
    spec: dict[str, Any] = {"ports": [{"port": 80}], "selector": {"a": "b"}, "type": "ClusterIP" if kind == "Headless" else kind}
    if kind == "Headless":
        spec["clusterIP"] = "None"
    elif address:
        spec["clusterIP"] = address
    if kind == "LoadBalancer":
        spec["externalTrafficPolicy"] = "Local"
    if port and kind in PORT_COUNT:
        spec["ports"][0]["nodePort"] = port
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


PORT_COUNT = {"NodePort": 1, "LoadBalancer": 2}


class AllocationMachine(LoopMachine):
    """`has` is the model: what each Service has, and `died` what is claimed for Services that a dead server did not come to write."""

    loop_factory = VirtualLoop

    def __init__(self) -> None:
        super().__init__()
        self.has: dict[str, set[Value]] = {}
        self.died: dict[Value, set[int]] = {}  # -> the servers that have seen it

    @initialize()
    def begin(self) -> None:
        self.stopping = asyncio.Event()
        self.run(self._begin())

    async def _begin(self) -> None:
        ready, store = asyncio.Event(), MemoryStore()

        async def serve() -> None:
            async with AsyncExitStack() as stack:
                self.servers: list[TestApi] = [
                    await stack.enter_async_context(api_server(store=store, settings=SETTINGS)) for _ in range(2)]
                ready.set()
                await self.stopping.wait()

        self.serving = asyncio.create_task(serve())
        await ready.wait()

    @property
    def taken(self) -> set[Value]:
        return {KUBERNETES, *self.died, *(value for held in self.has.values() for value in held)}

    def free_ports(self) -> int:
        """No number is given out of itself that any protocol has."""
        return PORTS[1] - PORTS[0] + 1 - sum(isinstance(value, tuple) for value in self.taken)

    def free_addresses(self) -> int:
        return len(ADDRESSES) - sum(isinstance(value, str) for value in self.taken)

    def why_not(self, name: str, kind: str, address: str, port: int) -> tuple[type[WherryError], str] | None:
        """What the model says of a creation."""
        if kind != "Headless":
            if address in self.taken:
                return Invalid, "provided IP is already allocated"
            if not address and not self.free_addresses():
                return WherryError, "range is full"
        if count := PORT_COUNT.get(kind, 0):
            if port and not PORTS[0] <= port <= PORTS[1]:
                return Invalid, "not in the valid range"
            if port and ("TCP", port) in self.taken:
                return Invalid, "provided port is already allocated"
            if self.free_ports() < count:
                return WherryError, "range is full"
        return (AlreadyExists, "already exists") if name in self.has else None

    async def create(self, server: int, obj: Object) -> Object | WherryError:
        try:
            return await self.servers[server].client.create(SERVICES, obj)
        except WherryError as error:
            return error

    def made(self, obj: Object) -> None:
        """The model takes over what was given out, and nothing that was not free."""
        given = set(values(obj["spec"]))
        assert len(given) == len(values(obj["spec"])) and not given & self.taken
        self.has[obj["metadata"]["name"]] = given

    @rule(server=SERVERS, name=NAMES, kind=KINDS, address=NAMED, port=NAMED_PORT)
    def create_one(self, server: int, name: str, kind: str, address: str, port: int) -> None:
        obj = service(name, kind, address, port)
        why, outcome = self.why_not(name, kind, address, port), self.run(self.create(server, obj))
        if why is None:
            assert isinstance(outcome, dict), outcome
            self.made(outcome)
            has = self.has[name]
            assert (not address or kind == "Headless" or address in has) and len(has) == (kind != "Headless") + PORT_COUNT.get(kind, 0)
            assert not port or kind not in PORT_COUNT or ("TCP", port) in has
        else:
            assert isinstance(outcome, why[0]) and why[1] in str(outcome), (why, outcome)

    @rule(names=st.lists(NAMES, min_size=2, max_size=4, unique=True), kind=KINDS, address=NAMED, port=NAMED_PORT)
    def create_some_at_once(self, names: list[str], kind: str, address: str, port: int) -> None:
        """On both servers; who is first is left to them, that none has what another has is not."""
        objects = [service(name, kind, address, port) for name in names]

        async def all_of_them() -> list[Object | WherryError]:
            return await asyncio.gather(*(self.create(number % 2, obj) for number, obj in enumerate(objects)))

        for outcome in self.run(all_of_them()):
            if isinstance(outcome, dict):
                self.made(outcome)
            else:
                assert isinstance(outcome, Invalid | AlreadyExists) or "range is full" in str(outcome), outcome

    @precondition(lambda self: self.has)
    @rule(data=st.data(), server=SERVERS)
    def delete(self, data: st.DataObject, server: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.has)))
        self.run(self.servers[server].client.delete(SERVICES, name, "default"))
        del self.has[name]

    @precondition(lambda self: self.has)
    @rule(data=st.data(), server=SERVERS)
    def need_no_ports_any_more(self, data: st.DataObject, server: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.has)))
        self.run(self.servers[server].client.patch(SERVICES, name, "default", {"spec": {"type": "ClusterIP"}}))
        self.has[name] = {value for value in self.has[name] if isinstance(value, str)}

    @rule(server=SERVERS, value=st.sampled_from(ADDRESSES) | st.tuples(st.just("TCP"), st.integers(*PORTS)))
    def die_before_the_service_is_written(self, server: int, value: Value) -> None:
        api = self.servers[server].server
        claim = self.run(Claims(api.registry, api.clock).take(value, "default/dead"))
        assert (claim is None) == (value in self.taken)
        if claim is not None:
            self.died[value] = set()

    @rule(server=SERVERS)
    def repair(self, server: int) -> None:
        """What has no Service in two passes of one server is free."""
        self.run(self.servers[server].server.repair.once())
        for value, seen_by in list(self.died.items()):
            if server in seen_by:
                del self.died[value]
            seen_by.add(server)

    @invariant()
    def both_servers_know_the_claims_and_the_services_of_the_model(self) -> None:
        if not hasattr(self, "servers"):
            return
        services = {f"default/{name}": held for name, held in self.has.items()} | {"default/kubernetes": {KUBERNETES}}
        claims = {value: owner for owner, held in services.items() for value in held} | dict.fromkeys(self.died, "default/dead")
        for api in self.servers:
            self.run(api.server.registry.fresh())
            assert {claim.value: claim.owner for claim in Claims(api.server.registry, api.server.clock).all()} == claims
            assert {key_of(one): set(values(one["spec"])) for one in api.all(SERVICES)} == services

    def teardown(self) -> None:
        if hasattr(self, "serving"):
            self.stopping.set()
            self.run(asyncio.wait_for(self.serving, 10))
        super().teardown()


def test_two_allocators_on_one_store_give_out_what_a_plain_model_says() -> None:
    holds(AllocationMachine, runs=8, steps=40)
