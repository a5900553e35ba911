"""The supervisor: locks say who runs, dead components come back, survivors are adopted."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.assembly import daemon, process, supervisor
from wherry.assembly.node import NodeSettings

HOLDER = """
import sys, time, pathlib
from wherry.assembly import process, supervisor
assert supervisor.hold(pathlib.Path(sys.argv[1]))
time.sleep(60)
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeSettings:
    made = NodeSettings(data_dir=tmp_path)
    monkeypatch.setattr(supervisor, "lock_path", lambda s, name: tmp_path / f"{name}.lock")
    monkeypatch.setattr(supervisor, "command", lambda s, name: [sys.executable, "-c", HOLDER, str(tmp_path / f"{name}.lock")])
    return made


async def held(path: Path, *, other_than: int = 0) -> int:
    async with asyncio.timeout(20):
        while (pid := supervisor.holder(path)) in (0, other_than):
            await asyncio.sleep(0.02)
    return pid


async def eventually(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():
            await asyncio.sleep(0.02)


def runs(pid: int) -> bool:
    """A process that waits to be reaped has no command line; one that goes while it is looked at is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_lock_names_its_holder_and_is_free_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    child = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)])
    try:
        asyncio.run(held(path))
        assert supervisor.holder(path) == child.pid
        assert supervisor.hold(path) is None
    finally:
        child.kill()
        child.wait()
    assert supervisor.holder(path) == 0


async def test_a_killed_component_is_started_again_and_stopped_in_the_end(settings: NodeSettings, tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervisor.keep(settings, "server"))
        first = await held(path)
        os.kill(first, signal.SIGKILL)
        second = await held(path, other_than=first)
        task.cancel()
        await asyncio.wait([task])
    assert supervisor.holder(path) == 0
    assert not runs(second), "it runs no more; at most it waits to be reaped by us"


def test_stopping_ends_a_component_that_is_so_young_that_it_does_not_hold_its_lock(tmp_path: Path) -> None:
    """Its supervisor was killed a moment after it had started it; it would have come up after `wherry down` had ended."""
    (tmp_path / "wherry" / "cli").mkdir(parents=True)
    for name in ("__init__.py", "cli/__init__.py"):
        (tmp_path / "wherry" / name).touch()
    (tmp_path / "wherry" / "cli" / "main.py").write_text("import time; time.sleep(60)")  # imports, for a very long time
    ours, others = (NodeSettings(data_dir=tmp_path / name) for name in ("ours", "others"))
    young, other = (subprocess.Popen(supervisor.command(one, "agent"), cwd=tmp_path) for one in (ours, others))
    try:
        asyncio.run(eventually(lambda: supervisor.started(ours, "agent") == [young.pid]))
        daemon.stop(ours)
        assert young.wait(10) == -signal.SIGTERM
        assert other.poll() is None, "one of another cluster"
    finally:
        for one in (young, other):
            one.kill()
            one.wait()


@pytest.mark.node
@pytest.mark.parametrize(("disguise", "is_ours"), [
    ([], True), (["setpriv", "--reuid=65534", "--clear-groups"], False), (["unshare", "--pid", "--fork"], False)])
def test_who_goes_by_the_same_words_is_ours_unless_of_another_user_or_in_a_container(
    tmp_path: Path, disguise: list[str], is_ours: bool
) -> None:
    """It could ignore TERM and hold up `wherry down` for 45 seconds, one after the other."""
    settings = NodeSettings(data_dir=tmp_path)
    words = supervisor.command(settings, "agent")[1:]
    script = 'exec -a yes /usr/bin/busybox "$@"'
    with subprocess.Popen([*disguise, "bash", "-c", script, "bash", *words], stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline().decode().split() == words, "it runs, and its words are these"
            assert supervisor.started(settings, "agent") == ([child.pid] if is_ours else [])
        finally:
            os.killpg(child.pid, signal.SIGKILL)


async def test_a_component_that_outlived_its_supervisor_is_adopted(settings: NodeSettings, tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    child = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)])
    try:
        await held(path)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(supervisor.keep(settings, "server"))
            await asyncio.sleep(0)
            assert supervisor.holder(path) == child.pid
            child.kill()
            child.wait()
            await held(path, other_than=child.pid)
            task.cancel()
            await asyncio.wait([task])
    finally:
        child.kill()


@pytest.mark.slow
async def test_a_component_starts_the_supervisor_again_until_the_cluster_is_stopped(
    settings: NodeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kill -9` of the supervisor alone left nobody to restart the next component that died."""
    monkeypatch.setattr(supervisor, "stopping_file", lambda s: tmp_path / "stopping")
    path = tmp_path / "supervisor.lock"
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(process.keep_supervised(settings))
        first = await held(path)
        os.kill(first, signal.SIGKILL)
        second = await held(path, other_than=first)
        (tmp_path / "stopping").touch()
        os.kill(second, signal.SIGKILL)
    assert supervisor.holder(path) == 0


async def test_a_component_that_cannot_be_started_is_tried_again(settings: NodeSettings, tmp_path: Path) -> None:
    """A disk too full for the log file ended the supervisor, and with it every component."""
    (tmp_path / "log").touch()  # where the folder of the logs should be
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervisor.keep(settings, "server"))
        await asyncio.sleep(0)
        (tmp_path / "log").unlink()
        await held(tmp_path / "server.lock")
        task.cancel()


async def test_the_gateway_starts_once_the_node_agent_listens(settings: NodeSettings, tmp_path: Path) -> None:
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as agent:
        port = agent.sockets[0].getsockname()[1]
        agent.close()
        await agent.wait_closed()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(supervisor.keep_in_order(replace(settings, node_port=port), "gateway"))
            await asyncio.sleep(3 * supervisor.CONNECT_RETRY_S)
            assert supervisor.holder(tmp_path / "gateway.lock") == 0, "nobody listens yet"
            async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port):
                await held(tmp_path / "gateway.lock")
            task.cancel()
            await asyncio.wait([task])
