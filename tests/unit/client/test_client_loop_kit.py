"""What every declared loop may count on, against the real API server in memory."""

import asyncio
from collections.abc import Iterable

import pytest

from wherry.kit.errors import Conflict, Unavailable
from wherry.kit.supervise import keep_running
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import RECHECK_S, Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import CONFIG_MAPS, SECRETS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.testing.api import api_server
from wherry.testing.control_plane import control_plane

pytestmark = pytest.mark.virtual_time


def of_its_map(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    yield f"default/{name_of(new or old or {})}"


class Noting(Loop[str]):
    """Notes when it was called with what, and does what `plan` says next."""

    name = "noting"
    watches = (Watch(CONFIG_MAPS, fields="metadata.namespace=default"), Watch(SECRETS, of_its_map))

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools)
        self.calls: list[tuple[float, str]] = []
        self.plan: list[float | None | Exception] = []

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        self.calls.append((asyncio.get_running_loop().time(), key))
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, Exception):
            raise step
        return step


class Made:
    """Makes one loop of `kind`, and has it."""

    def __init__(self, kind: type[Noting] = Noting) -> None:
        self.kind = kind

    def __call__(self, tools: Tools) -> Noting:
        self.loop = self.kind(tools)
        return self.loop


def config_map(name: str = "a") -> Object:
    return {"metadata": {"name": name, "namespace": "default"}}


async def noted(*plan: float | None | Exception, after_s: float = 100.0) -> list[float]:
    """When `reconcile` was called for one ConfigMap, counted from the first call."""
    made = Made()
    async with control_plane(made) as on:
        await asyncio.sleep(1)
        made.loop.plan[:] = plan
        await on.client.create(CONFIG_MAPS, config_map())
        await asyncio.sleep(after_s)
    assert {key for _, key in made.loop.calls} == {"default/a"}
    return [at - made.loop.calls[0][0] for at, _ in made.loop.calls]


async def test_a_loop_looks_again_when_it_said() -> None:
    assert await noted(30.0, None) == [0.0, pytest.approx(30.0)]


@pytest.mark.parametrize("error", [
    pytest.param(Conflict("lost race"), id="a lost race"),
    pytest.param(Unavailable("refused"), id="a refusal"),
    pytest.param(KeyError("a bug"), id="a bug"),
])
async def test_what_fails_is_retried_with_growing_delays(error: Exception) -> None:
    assert await noted(error, error, error) == [pytest.approx(at, abs=1e-4) for at in (0.0, 0.005, 0.015, 0.035)]


async def test_another_rows_change_wakes_the_key_it_names() -> None:
    made = Made()
    async with control_plane(made) as on:
        await asyncio.sleep(1)
        await on.client.create(SECRETS, {"metadata": {"name": "b", "namespace": "default"}})
        await asyncio.sleep(1)
    assert [key for _, key in made.loop.calls] == ["default/b"]


class Writing(Noting):
    """Makes a Secret whenever it sees none, while its informer of Secrets stands still."""

    name = "writing"

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        await super().reconcile(key, seen)
        if seen[SECRETS].get(key) is None:
            made = await self.client.create(SECRETS, {"metadata": {"generateName": "s", "namespace": "default"}})
            seen.wrote(key, SECRETS, made)
            seen[SECRETS]._apply = lambda event: None  # type: ignore[method-assign]
        return 0.1


class Reporting(Writing):
    """It is called meanwhile, and told that it must not act."""

    name = "reporting"
    is_told_at_once = True

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        if seen.shows(key):
            return await super().reconcile(key, seen)
        self.calls.append((0.0, "not yet"))
        return None


@pytest.mark.parametrize(("kind", "calls"), [
    pytest.param(Writing, ["default/a"], id="not called"),
    pytest.param(Reporting, ["default/a", "not yet", "not yet", "not yet"], id="called to report"),
])
async def test_a_key_waits_until_the_caches_show_what_was_written_for_it(kind: type[Noting], calls: list[str]) -> None:
    made = Made(kind)
    async with control_plane(made) as on:
        await asyncio.sleep(1)
        await on.client.create(CONFIG_MAPS, config_map())
        await asyncio.sleep(2.5 * RECHECK_S)
        assert len(await on.all(SECRETS)) == 1
    assert [key for _, key in made.loop.calls] == calls


class Failing(Noting):
    """Its second task ends it, once."""

    name = "failing"
    failures = 1

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run(), name="loop")
            await asyncio.sleep(5)
            if self.failures:
                self.failures -= 1
                raise RuntimeError("planted")


async def test_a_loop_that_fails_and_runs_again_leaves_no_subscriber_behind() -> None:
    async with api_server() as api, asyncio.TaskGroup() as tasks:
        informers = Informers(api.client)
        loop = Failing(Tools(api.client, informers, Recorder(api.client, "test"), api.server.clock))
        running = [tasks.create_task(informers.run(), name="informers"),
                   tasks.create_task(keep_running("failing", loop.run), name="failing")]
        subscribers = []
        for _ in range(2):
            await asyncio.sleep(4)
            subscribers.append([len(one._subscribers) for one in informers._known.values()])
        loop.calls.clear()
        await api.client.create(CONFIG_MAPS, config_map())
        await asyncio.sleep(1)
        assert [key for _, key in loop.calls] == ["default/a"]
        assert subscribers[0] == subscribers[1] == [2, 1], "one for each row, one more that forgets what is deleted"
        for task in running:
            task.cancel()


class Quarrelling(Noting):
    """Whatever it does wakes it again."""

    name = "quarrelling"

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        await super().reconcile(key, seen)
        seen.wake(key)
        return None


async def test_a_key_that_is_woken_without_end_does_not_have_the_machine_to_itself() -> None:
    made = Made(Quarrelling)
    async with control_plane(made) as on:
        await on.client.create(CONFIG_MAPS, config_map())
        await asyncio.sleep(10)
    assert 100 <= len(made.loop.calls) <= 300
