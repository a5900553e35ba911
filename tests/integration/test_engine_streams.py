"""Exec, attach, dial and log reopening over real containers."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from engine_harness import Harness, harness, until

from wherry.container.runtime.engine import Session
from wherry.container.runtime.exec_process import OUTPUT_BYTES_MAX
from wherry.kit.errors import Conflict, TimedOut, Unavailable

pytestmark = pytest.mark.node


@pytest_asyncio.fixture
async def box(tmp_path: Path) -> AsyncIterator[Harness]:
    async with harness(tmp_path) as made:
        await made.sandbox()
        yield made


async def everything(session: Session) -> dict[str, bytes]:
    found = {"stdout": b"", "stderr": b""}
    async with asyncio.timeout(20):
        async for name, data in session.output():
            found[name] += data
    return found


async def read_until(session: Session, word: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(20):
        async for _, data in session.output():
            seen += data
            if word in seen:
                return seen
    raise AssertionError(f"{word!r} not in {seen!r}")


async def test_exec_sync_returns_streams_and_code(box: Harness) -> None:
    await box.start(script="sleep 1000", env=(("MINE", "1"),), working_dir="/tmp")
    found = await box.engine.exec_sync("one", ("sh", "-c", "echo $MINE; pwd; echo err >&2; exit 3"), timeout_s=10)
    assert (found.exit_code, found.stdout, found.stderr) == (3, b"1\n/tmp\n", b"err\n")


async def test_exec_of_a_missing_program_says_so(box: Harness) -> None:
    await box.start(script="sleep 1000")
    found = await box.engine.exec_sync("one", ("no-such-program",), timeout_s=10)
    assert found.exit_code != 0
    assert b"no-such-program" in found.stderr


async def test_exec_sync_that_takes_too_long_is_killed(box: Harness) -> None:
    await box.start(script="sleep 1000")
    with pytest.raises(TimedOut):
        await box.engine.exec_sync("one", ("sh", "-c", "sleep 777; true"), timeout_s=0.3)
    pid = (await box.engine.container_status("one")).pid
    tree = Path(f"/proc/{pid}/root/proc")
    await until(lambda: "777" not in "".join(map(command_of, tree.glob("[0-9]*/cmdline"))), "its child is gone")


def command_of(path: Path) -> str:
    """Of a process that may go while it is looked at."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def test_exec_sync_does_not_wait_for_a_daemon_that_holds_the_pipe(box: Harness) -> None:
    await box.start(script="sleep 1000")
    found = await box.engine.exec_sync("one", ("sh", "-c", "sleep 500 & echo done"), timeout_s=15)
    assert (found.exit_code, found.stdout) == (0, b"done\n")


async def test_exec_sync_cuts_endless_output(box: Harness) -> None:
    await box.start(script="sleep 1000")
    found = await box.engine.exec_sync("one", ("head", "-c", str(OUTPUT_BYTES_MAX + 100_000), "/dev/zero"), timeout_s=60)
    assert len(found.stdout) == OUTPUT_BYTES_MAX


async def test_exec_needs_a_running_container(box: Harness) -> None:
    await box.create(script="true")
    with pytest.raises(Conflict):
        await box.engine.exec_sync("one", ("true",), timeout_s=1)


async def test_exec_with_stdin_sees_its_end(box: Harness) -> None:
    await box.start(script="sleep 1000")
    session = await box.engine.exec("one", ("wc", "-c"), tty=False, stdin=True)
    await session.write_stdin(b"x" * 300_000)
    await session.close_stdin()
    assert (await everything(session))["stdout"].strip() == b"300000"
    assert await session.wait() == 0
    await session.close()
    assert not list(box.settings.bundle("one").glob("exec-*"))


async def test_exec_on_a_terminal_is_one_and_takes_its_size(box: Harness) -> None:
    await box.start(script="sleep 1000")
    session = await box.engine.exec("one", ("sh",), tty=True, stdin=True)
    await session.resize(101, 33)
    await session.write_stdin(b"stty size; echo TERM=$TERM; tty\n")
    seen = await read_until(session, b"/dev/pts/")
    assert b"33 101" in seen and b"TERM=xterm" in seen
    await session.write_stdin(b"exit 5\n")
    await everything(session)
    assert await session.wait() == 5
    await session.close()


async def test_exec_on_a_terminal_of_a_missing_program_ends(box: Harness) -> None:
    await box.start(script="sleep 1000")
    session = await box.engine.exec("one", ("no-such-program",), tty=True, stdin=True)
    assert b"no-such-program" in (await everything(session))["stdout"]
    assert await session.wait() != 0
    await session.close()


async def test_closing_an_exec_session_kills_its_process(box: Harness) -> None:
    await box.start(script="sleep 1000")
    session = await box.engine.exec("one", ("sleep", "888"), tty=False, stdin=False)
    pid_files = box.settings.bundle("one").glob
    await until(lambda: any(p.read_text() for p in pid_files("exec-*.pid")), "the process was started")
    pid = int(next(iter(pid_files("exec-*.pid"))).read_text())
    await session.close()
    await until(lambda: not os.path.exists(f"/proc/{pid}"), "the process is gone")


async def test_attach_reads_and_writes_the_containers_streams(box: Harness) -> None:
    await box.create(script="while read line; do echo got $line; echo e $line >&2; done; exit 4", stdin=True, stdin_once=True)
    session = await box.engine.attach("one", stdin=True)
    await box.engine.start_container("one")
    await session.write_stdin(b"a\nb\n")
    await session.close_stdin()
    found = await everything(session)
    assert found == {"stdout": b"got a\ngot b\n", "stderr": b"e a\ne b\n"}
    async with asyncio.timeout(10):
        assert await session.wait() == 0
    await session.close()
    assert (await box.ended()).exit_code == 4
    assert box.text("one") == "got a\ngot b\n"


async def test_detaching_leaves_stdin_open_when_asked(box: Harness) -> None:
    await box.start(script="while read line; do echo got $line; done; echo end", stdin=True)
    first = await box.engine.attach("one", stdin=True)
    await first.write_stdin(b"a\n")
    await read_until(first, b"got a")
    await first.close()
    second = await box.engine.attach("one", stdin=True)
    await second.write_stdin(b"b\n")
    assert await read_until(second, b"got b")
    await second.close()


async def test_attach_to_a_terminal_resizes_it(box: Harness) -> None:
    await box.start(script="while read line; do stty size; done", tty=True, stdin=True)
    session = await box.engine.attach("one", stdin=True)
    await session.resize(90, 40)
    await asyncio.sleep(0.1)
    await session.write_stdin(b"\n")
    assert b"40 90" in await read_until(session, b"40 90")
    await session.close()


async def test_two_attached_see_the_same(box: Harness) -> None:
    await box.create(script="read x; echo hello", stdin=True)
    sessions = [await box.engine.attach("one", stdin=True) for _ in range(2)]
    await box.engine.start_container("one")
    await sessions[0].write_stdin(b"go\n")
    for session in sessions:
        assert b"hello" in await read_until(session, b"hello")
        await session.close()


async def test_dial_reaches_loopback_inside(box: Harness) -> None:
    await box.start(script="nc -l -p 8080 -e echo hello from inside")

    async def dialled() -> bytes:
        for _ in range(200):
            try:
                reader, writer = await box.engine.dial("box", 8080)
            except Unavailable:
                await asyncio.sleep(0.02)
                continue
            data = await reader.read()
            writer.close()
            return data
        raise AssertionError("nobody listens")

    assert await dialled() == b"hello from inside\n"
    with pytest.raises(Unavailable, match="connection refused"):
        await box.engine.dial("box", 9)


async def test_reopened_log_goes_to_a_new_file(box: Harness) -> None:
    await box.start(script="echo first; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo second; sleep 1000")
    await box.logged("first")
    path = box.log_path("one")
    path.rename(path.with_suffix(".old"))
    await box.engine.reopen_log("one")
    await box.engine.exec_sync("one", ("touch", "/tmp/go"), timeout_s=5)
    await box.logged("second")
    assert "second" not in path.with_suffix(".old").read_text()
