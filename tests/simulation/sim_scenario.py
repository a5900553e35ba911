"""What happens in a run: users who create, scale, change and delete, and a world that breaks around them.

In:    a world, its dice.
Out:   a run of `STEPS` events with pauses between them; then everything is mended, and it must settle.
"""

import asyncio
import random
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sim_loop
import sim_planted
from sim_invariants import unsettled
from sim_world import IMAGES, World

from wherry.kit.errors import WherryError
from wherry.orchestration.objects.kinds import DAEMON_SETS, DEPLOYMENTS, JOBS, PODS, SERVICES, STATEFUL_SETS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.resources import Resource

STEPS = 60
NODES_AT_START, NODES_MAX = 2, 3
PAUSE_S_MEAN = 4.0
SETTLE_S, SETTLE_LOOKS = 30.0, 60  # a vanished node costs five minutes of toleration, a pod that crashed up to five of back-off
JUMPS_S = (-7200.0, -60.0, 60.0, 7200.0)


@dataclass(frozen=True, slots=True)
class Result:
    """How a run went. Two runs of one seed have one digest."""

    seed: int
    violation: str
    writes: int
    answers: int
    turns: int
    virtual_s: float
    digest: str


def simulate(seed: int, *, steps: int = STEPS, planted: str | None = None) -> Result:
    """One run. `planted` names a defect to begin with (`sim_planted.py`), to see that it is noticed."""

    world_of: list[World] = []

    async def main() -> Result:
        dice = random.Random(seed)
        with _folder(seed) as folder:
            world = World(dice, folder, asyncio.TaskGroup())
            world_of.append(world)
            async with world.tasks:
                story = world.tasks.create_task(_story(world, steps), name="story")
                broken = world.tasks.create_task(world.invariants.broken.wait(), name="broken")
                await asyncio.wait((story, broken), return_when=asyncio.FIRST_COMPLETED)
                for task in (story, broken):
                    task.cancel()
                for name in world.names():
                    await world.stop(name)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, sim_loop.SimLoop)
            seen = world.invariants
            return Result(seed, seen.first, seen.writes, seen.answers, loop.turns, loop.time(), seen.digest.hexdigest())

    with sim_planted.defect(planted):
        try:
            return sim_loop.run(seed, main)
        except sim_loop.Endless as error:
            return Result(seed, "\n  ".join([str(error), *world_of[0].invariants.trail]), 0, 0, 0, 0.0, "")


@contextmanager
def _folder(seed: int) -> Iterator[Path]:
    """Of the same name every time."""
    folder = Path(f"/dev/shm/wherry-simulation-{seed}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _story(world: World, steps: int) -> None:
    for number in range(NODES_AT_START):
        world.add_node(f"node-{number}")
    for name in world.names():
        world.start(name)
    await world.ready()
    await asyncio.sleep(5)
    acts = _acts(world)
    for _ in range(steps):
        act = world.dice.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
        world.invariants.note(f"-- {act.__name__.strip('_')}")
        try:
            await act(world)
        except WherryError as error:
            world.invariants.note(f"refused: {error}")
        await asyncio.sleep(world.dice.expovariate(1 / PAUSE_S_MEAN))
    await _mend(world)
    await _settled(world)


async def _mend(world: World) -> None:
    """Everything runs again, and no call fails."""
    world.invariants.note("-- everything is mended")
    world.odds.heal()
    for name in (f"node-{number}" for number in range(NODES_MAX)):
        if f"/{name}" in world.invariants.objects["Node"] and name not in world.engines:
            world.add_node(name)
    for name in world.names():
        world.start(name)
    await world.ready()


async def _settled(world: World) -> None:
    left: list[str] = []
    for _ in range(SETTLE_LOOKS):
        await asyncio.sleep(SETTLE_S)
        left = unsettled(world.invariants)
        if not left:
            return
    world.invariants.breaks(f"not settled after {SETTLE_S * SETTLE_LOOKS / 60:.0f} minutes: " + "; ".join(left))


def _acts(world: World) -> list[tuple[Callable[[World], Awaitable[None]], float]]:
    return [
        (_create, 6), (_scale, 5), (_change, 5), (_delete, 2), (_serve, 1), (_delete_a_pod, 3), (_crash_a_container, 2),
        (_stop_something, 6), (_start_something, 8), (_lose_a_node, 1), (_bring_a_node, 2), (_forget_history, 2), (_jump, 1),
    ]


def _template(app: str, image: str, **spec: Any) -> Object:
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "main", "image": image}], **spec}}


KINDS: tuple[Resource, ...] = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, JOBS)


async def _create(world: World) -> None:
    kind, name = world.dice.choice(KINDS), f"{world.dice.choice('abcd')}"
    app = f"{kind.singular}-{name}"
    spec: Object = {"selector": {"matchLabels": {"app": app}}, "template": _template(app, world.dice.choice(IMAGES))}
    match kind.kind:
        case "Deployment":
            spec |= {"replicas": world.dice.randint(0, 5)}
            if world.dice.random() < 0.2:
                spec["strategy"] = {"type": "Recreate"}
        case "StatefulSet":
            policy = world.dice.choice(("OrderedReady", "Parallel"))
            spec |= {"replicas": world.dice.randint(0, 4), "serviceName": app, "podManagementPolicy": policy}
        case "Job":
            del spec["selector"]
            script = world.dice.choice(("sleep 2", "sleep 30", "sleep 1; exit 1"))
            spec |= {"completions": world.dice.randint(1, 4), "parallelism": world.dice.randint(1, 3), "backoffLimit": 2}
            spec["template"]["spec"] |= {"restartPolicy": "Never"}
            spec["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", script]
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}
    await world.user.create(kind, obj)


async def _pick(world: World, *kinds: Resource) -> tuple[Resource, Object] | None:
    kind = world.dice.choice(kinds)
    found = (await world.user.list(kind, "default")).items
    return (kind, world.dice.choice(found)) if found else None


async def _scale(world: World) -> None:
    if picked := await _pick(world, DEPLOYMENTS, STATEFUL_SETS):
        body = {"spec": {"replicas": world.dice.randint(0, 5)}}
        await world.user.patch(picked[0], name_of(picked[1]), "default", body, content_type="application/merge-patch+json")


async def _change(world: World) -> None:
    if picked := await _pick(world, DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS):
        body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": world.dice.choice(IMAGES)}]}}}}
        await world.user.patch(picked[0], name_of(picked[1]), "default", body)


async def _delete(world: World) -> None:
    if picked := await _pick(world, *KINDS):
        how = world.dice.choice(("Background", "Foreground", "Background"))
        await world.user.delete(picked[0], name_of(picked[1]), "default", propagation=how)


async def _serve(world: World) -> None:
    name = f"deployment-{world.dice.choice('abcd')}"
    spec = {"selector": {"app": name}, "ports": [{"port": 80}], "type": world.dice.choice(("ClusterIP", "NodePort"))}
    await world.user.create(SERVICES, {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def _delete_a_pod(world: World) -> None:
    if picked := await _pick(world, PODS):
        await world.user.delete(PODS, name_of(picked[1]), "default")


async def _crash_a_container(world: World) -> None:
    if world.engines:
        world.engines[world.dice.choice(sorted(world.engines))].end("main", 1)


async def _stop_something(world: World) -> None:
    """A process is killed; one time in three it begins again at once."""
    name = world.dice.choice(world.names())
    await world.stop(name)
    if world.dice.random() < 0.33:
        world.start(name)


async def _start_something(world: World) -> None:
    """What lies longest first, but the server before all others."""
    for name in world.names():
        if name not in world.lives:
            world.start(name)
            return


async def _lose_a_node(world: World) -> None:
    if len(world.engines) > 1:
        await world.lose_node(world.dice.choice(sorted(world.engines)))


async def _bring_a_node(world: World) -> None:
    missing = [name for name in (f"node-{number}" for number in range(NODES_MAX)) if name not in world.engines]
    if missing:
        world.add_node(missing[0])
        world.start(missing[0])


async def _forget_history(world: World) -> None:
    """Watches that are behind have to list again."""
    await world.store.compact(await world.store.revision())


async def _jump(world: World) -> None:
    world.clock.jump(world.dice.choice(JUMPS_S))
