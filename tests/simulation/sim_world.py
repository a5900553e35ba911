"""The whole control plane in one loop: API server on a store in memory, controllers, scheduler, agents over engines that are fakes.

In:    dice; how many nodes.
Out:   components that can be stopped at any await and begun again with nothing remembered but what is stored; nodes that vanish.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim_faults import Front, Odds, Wire
from sim_invariants import Invariants

from wherry.kit.supervise import keep_running
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.agent.node.machine import Machine
from wherry.orchestration.apiserver.serving.server import ApiServer
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.user import ADMIN, CONTROLLER_MANAGER, SCHEDULER, User
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.leader_election import Election
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.run import ControllerSettings, run_all
from wherry.orchestration.scheduler.loop import NAME, Scheduler
from wherry.orchestration.store.contract import Change
from wherry.orchestration.store.memory import MemoryStore
from wherry.testing.directory_volumes import DirectoryVolumes
from wherry.testing.fake_engine import FakeEngine, FakeImages
from wherry.testing.virtual_time import VirtualClock

IMAGES = ("app:1", "app:2", "app:3")
MACHINE = Machine(8, 32 << 30, 100 << 30, "amd64", "6.18", "Debian", "m", "s", "b")
START_S_MAX = 600.0


class ObservedStore(MemoryStore):
    """Tells of each write in the moment it is done."""

    def __init__(self, told: Callable[[Change], None]) -> None:
        super().__init__()
        self._told = told

    def _commit(self, change: Change, before: Any) -> int:
        revision = super()._commit(change, before)
        self._told(change)
        return revision


class NoMounts:
    """Folders stand in for mounts."""

    def tmpfs(self, target: Path, *, size_bytes: int | None) -> None: ...

    def layered(self, layers: Any, target: Path) -> None: ...

    def bind(self, source: str, target: Path) -> None: ...

    def unmount(self, target: Path) -> None: ...

    def below(self, folder: Path) -> list[Path]:
        return []


@dataclass(slots=True)
class Life:
    """A component between its start and its end."""

    task: "asyncio.Task[None]"
    wires: list[Wire]


@dataclass(slots=True)
class World:
    """`start` and `stop` components by name; `nodes` maps the names of nodes to their engines, None while one is away."""

    dice: random.Random
    folder: Path
    tasks: asyncio.TaskGroup
    clock: VirtualClock = field(default_factory=VirtualClock)
    odds: Odds = field(default_factory=Odds)
    front: Front = field(default_factory=Front)
    engines: dict[str, FakeEngine] = field(default_factory=dict)
    invariants: Invariants = field(default_factory=Invariants)
    lives: dict[str, Life] = field(default_factory=dict)
    store: ObservedStore = field(init=False)
    user: Client = field(init=False)

    def __post_init__(self) -> None:
        self.invariants.now = self.clock.now
        self.store = ObservedStore(self.invariants.changed)
        self.user = Client(Wire(self.front, ADMIN, self.dice, Odds(0, 0, 0, 0, 0, 0), self.invariants.acknowledged, self.invariants.lost))

    def names(self) -> list[str]:
        """Every component there is."""
        return ["server", *CANDIDATES, *self.engines]

    def add_node(self, name: str) -> None:
        """A machine with nothing on it."""
        engine = FakeEngine(self.clock)
        engine._addresses = 256 * (len(self.invariants.engines) + 1)
        self.engines[name] = self.invariants.engines[name] = engine

    def start(self, name: str) -> None:
        """Begin a component anew; it remembers nothing."""
        if name in self.lives:
            return
        wires: list[Wire] = []
        self.invariants.note(f"start {name}")
        if name == "server":
            run = self._server()
        else:
            run = CANDIDATES[name](self, name, wires) if name in CANDIDATES else self._agent(name, wires)
        self.lives[name] = Life(self.tasks.create_task(run, name=name), wires)

    async def stop(self, name: str) -> None:
        """End a component wherever it is. Nothing of it reaches the server or its engine afterwards."""
        life = self.lives.pop(name, None)
        if life is None:
            return
        self.invariants.note(f"stop {name}")
        for wire in life.wires:
            wire.cut = True
        if name == "server":
            self.front.close()
        life.task.cancel()
        await asyncio.gather(life.task, return_exceptions=True)

    async def lose_node(self, name: str) -> None:
        """The machine is gone, with all that ran on it; its Node stays until somebody notices."""
        await self.stop(name)
        self.engines.pop(name, None)
        self.invariants.engines.pop(name, None)

    async def ready(self) -> None:
        """The API server answers."""
        async with asyncio.timeout(START_S_MAX):
            while self.front.handler is None:
                await asyncio.sleep(0.01)

    def _client(self, user: User, wires: list[Wire]) -> Client:
        wires.append(Wire(self.front, user, self.dice, self.odds, self.invariants.acknowledged, self.invariants.lost))
        return Client(wires[-1])

    async def _server(self) -> None:
        server = ApiServer(ApiServerSettings(), self.store, self.clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.run(), name="api server")
            await server.ready.wait()
            self.front.handler = server.handle

    async def _controllers(self, name: str, wires: list[Wire]) -> None:
        settings = ControllerSettings("CA", _sign, "10.244.0.0/16", ("192.0.2.1",))
        volumes = DirectoryVolumes(self.folder / "volumes")
        await volumes.prepare()
        client = self._client(CONTROLLER_MANAGER, wires)
        await self._led("kube-controller-manager", name, client, lambda: run_all(client, settings, self.clock, volumes))

    async def _scheduler(self, name: str, wires: list[Wire]) -> None:
        client = self._client(SCHEDULER, wires)
        informers, recorder = Informers(client), Recorder(client, NAME, clock=self.clock)
        scheduler = Scheduler(Tools(client, informers, recorder, self.clock))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informers.run(), name="informers")
            tasks.create_task(recorder.run(), name="recorder")
            tasks.create_task(self._led("kube-scheduler", name, client, scheduler.run), name="scheduler")

    async def _led(self, lease: str, who: str, client: Client, work: Callable[[], Awaitable[None]]) -> None:
        """One candidate of several, again after each failure."""
        recorder = Recorder(client, who, clock=self.clock)
        election = Election(client, lease, who, self.clock, recorder)

        async def working() -> None:
            with self.invariants.leading(lease, who):
                await work()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(recorder.run(), name="recorder")
            tasks.create_task(keep_running(who, lambda: election.lead(working)), name=who)

    async def _agent(self, name: str, wires: list[Wire]) -> None:
        settings = AgentSettings(name, f"192.0.2.{10 + len(self.engines)}", self.folder / name / "data", self.folder / name / "logs")
        user = User(f"system:node:{name}", groups=("system:nodes", "system:authenticated"))
        agent = Agent(
            settings, self._client(user, wires), self.engines[name], FakeImages.of(*IMAGES), None, self.clock,
            mounts=NoMounts(), machine=MACHINE)
        await keep_running(name, agent.run)


def _sign(*_: Any) -> bytes:
    raise AssertionError("nothing here asks for a certificate")


def quiet() -> None:
    """What components say of faults is no news here."""
    logging.getLogger("wherry").setLevel(logging.CRITICAL)


# Two of each, of which one works: as on the nodes of a control plane of two.
CANDIDATES: dict[str, Callable[[World, str, list[Wire]], Coroutine[Any, Any, None]]] = {
    "controllers-a": World._controllers, "controllers-b": World._controllers,
    "scheduler-a": World._scheduler, "scheduler-b": World._scheduler,
}
Scenario = Callable[[World], Coroutine[Any, Any, None]]
