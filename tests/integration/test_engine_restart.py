"""Containers and their logs outlive the process that made them, and the next one finds all again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from engine_harness import PATIENCE_S, Harness, until

from wherry.container.runtime.engine import State
from wherry.infrastructure.linux import cgroup_layout, mounts
from wherry.testing.ports import free_port

pytestmark = pytest.mark.node

CHILD = """
import asyncio, sys
from ipaddress import IPv4Network
from pathlib import Path
sys.path.insert(0, {tests!r})
from engine_harness import Harness
from wherry.container.runtime.engine import PortMapping

async def main():
    box = Harness(Path({folder!r}), {tag!r}, IPv4Network({addresses!r}))
    await box.engine.restore()
    {body}
    print("made", flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Harness]:
    made = Harness(tmp_path)
    try:
        yield made
    finally:
        await made.destroy()


async def made_by_a_process_that_was_killed(box: Harness, body: str, *, settle_s: float = 0) -> None:
    """Run `body` with an engine in another process and SIGKILL that process (and only it)."""
    text = CHILD.format(
        tests=str(Path(__file__).parent), folder=str(box.folder), tag=box.tag, addresses=str(box.addresses), body=body.replace("\n", "\n    ")
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", text, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            if settle_s:
                await asyncio.sleep(settle_s)
            else:
                assert await process.stdout.readline() == b"made\n"
    finally:
        process.kill()
        await process.wait()


TICKER = "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done"


async def test_a_running_container_is_adopted_and_its_log_has_no_gap(box: Harness) -> None:
    port = free_port()
    await made_by_a_process_that_was_killed(
        box,
        f"await box.sandbox(port_mappings=(PortMapping('tcp', 7000, {port}),))\n"
        f"await box.start(script={TICKER!r}, labels={{'a': 'b'}}, stdin=True, env=(('X', 'y'),))\n"
        "await box.logged('tick 3')",
    )
    before = len(box.log("one"))
    await until(lambda: len(box.log("one")) > before + 3, "the log goes on without any engine")
    await box.engine.restore()
    status = await box.engine.container_status("one")
    assert (status.state, status.labels) == (State.RUNNING, {"a": "b"})
    sandbox = (await box.engine.sandboxes())[0]
    assert sandbox.ready and sandbox.address == box.network.address("box")
    found = await box.engine.exec_sync("one", ("sh", "-c", "echo $X; ip -o addr show eth0"), timeout_s=5)
    assert found.stdout.startswith(b"y\n") and str(sandbox.address).encode() in found.stdout
    await box.sandbox("other")
    await box.engine.stop_container("one", grace_s=0)
    assert (await box.engine.container_status("one")).exit_code == 137
    numbers = [int(text.split()[1]) for _, _, text in box.log("one")]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_an_exit_that_nobody_saw_is_found(box: Harness) -> None:
    await made_by_a_process_that_was_killed(
        box, "await box.sandbox()\nawait box.start(script='while [ ! -e /dev/shm/go ]; do sleep 0.02; done; echo bye; exit 6')"
    )
    (box.settings.sandbox_dir("box") / "shm" / "go").touch()
    await until(lambda: (box.settings.exit_dir / "one").exists(), "conmon wrote the exit code")
    await box.engine.restore()
    status = await box.ended()
    assert (status.exit_code, status.reason) == (6, "Error")
    assert 0 < status.started_at_ns <= status.finished_at_ns
    assert box.text("one") == "bye\n"


async def test_a_created_container_can_be_started_by_the_next_process(box: Harness) -> None:
    await made_by_a_process_that_was_killed(box, "await box.sandbox()\nawait box.create(script='echo late')")
    await box.engine.restore()
    assert (await box.engine.container_status("one")).state is State.CREATED
    await box.engine.start_container("one")
    await box.ended()
    assert box.text("one") == "late\n"


async def test_a_container_started_by_a_process_that_died_before_noting_it_is_found_running(box: Harness) -> None:
    """It was taken for one that never ran, and the pod counted a restart that nobody had asked for."""
    body = "await box.sandbox()\nawait box.create(script='sleep 1000')\nawait box.engine._doors.runtime.start('one')"
    await made_by_a_process_that_was_killed(box, body)
    await box.engine.restore()
    assert (await box.engine.container_status("one")).state is State.RUNNING


async def test_exited_containers_and_stopped_sandboxes_stay_what_they_are(box: Harness) -> None:
    await made_by_a_process_that_was_killed(
        box, "await box.run('exit 3')\nawait box.engine.stop_sandbox('box')\nawait box.sandbox('live')"
    )
    await box.engine.restore()
    assert {s.id: s.ready for s in await box.engine.sandboxes()} == {"box": False, "live": True}
    assert (await box.engine.container_status("one")).exit_code == 3
    await box.engine.remove_sandbox("box")
    assert await box.engine.containers() == []


@pytest.mark.parametrize("settle_s", [0.12, 0.14, 0.16, 0.18, 0.20, 0.22, 0.25, 0.28, 0.32])
async def test_what_was_half_made_is_cleaned_up(box: Harness, settle_s: float) -> None:
    """Killed at some moment of creation: whole ones are adopted, remains are gone, and the names can be used again."""
    await made_by_a_process_that_was_killed(
        box,
        "async with asyncio.TaskGroup() as tasks:\n"
        "    for n in range(3):\n"
        "        async def one(n=n):\n"
        "            await box.sandbox(f's{n}', shared_pid=n == 1)\n"
        "            await box.start(f'c{n}', 'sleep 1000', f's{n}')\n"
        "        tasks.create_task(one())",
        settle_s=settle_s,
    )
    await box.engine.restore()
    cgroups = cgroup_layout.detect(mounts.table()).folders(f"{box.cgroup_root}/pods")
    sandboxes = {s.id for s in await box.engine.sandboxes()}
    assert {p.name for folder in cgroups for p in Path(folder).glob("s*")} == sandboxes
    known = {c.id for c in await box.engine.containers()}
    assert {p.name for p in (box.run_dir / "c").iterdir()} == known
    assert {p.name for p in (box.run_dir / "s").iterdir()} == sandboxes
    for n in range(3):
        await box.engine.remove_sandbox(f"s{n}")
        await box.sandbox(f"s{n}")
        await box.start(f"c{n}", "echo again", f"s{n}")
        await box.ended(f"c{n}")
        assert "again" in box.text(f"c{n}")


async def test_the_state_of_an_earlier_boot_is_dropped(box: Harness) -> None:
    await made_by_a_process_that_was_killed(box, "await box.run('exit 3')\nawait box.engine.stop_sandbox('box')")
    (box.run_dir / "boot").write_text("another boot")
    leftover = box.settings.writable_dir("gone")
    leftover.mkdir(parents=True)
    await box.engine.restore()
    assert await box.engine.sandboxes() == [] and not leftover.exists()


async def test_a_conmon_killed_while_nobody_watched_ends_its_container(box: Harness) -> None:
    await made_by_a_process_that_was_killed(box, "await box.sandbox()\nawait box.start(script='sleep 1000')")
    os.kill(int((box.settings.bundle("one") / "conmon.pid").read_text()), signal.SIGKILL)
    await box.engine.restore()
    assert (await box.ended()).exit_code == 137


async def test_destroying_needs_no_restore(box: Harness) -> None:
    await made_by_a_process_that_was_killed(
        box, "await box.sandbox(shared_pid=True)\nawait box.start(script='sleep 1000')"
    )
    assert box.remains()
    await box.engine.destroy_all()
    assert box.remains() == []
