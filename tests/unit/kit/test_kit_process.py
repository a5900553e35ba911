"""Commands: output, failure, limits, cancellation; nothing is left running and no child stays a zombie."""

import asyncio
import os
import time
from pathlib import Path

import pytest
import uvloop

from wherry.kit import process
from wherry.kit.errors import TimedOut


async def test_stdin_goes_in_and_stdout_comes_out() -> None:
    text = os.urandom(3 << 20)
    assert await process.run(["cat"], stdin=text, timeout_s=10) == text


async def test_a_failure_carries_code_and_the_end_of_stderr() -> None:
    with pytest.raises(process.CommandFailed) as found:
        await process.run(["sh", "-c", "echo out; echo why >&2; exit 3"], timeout_s=10)
    assert (found.value.code, found.value.stderr) == (3, "why")


async def test_a_signal_is_a_negative_code() -> None:
    with pytest.raises(process.CommandFailed) as found:
        await process.run(["sh", "-c", "kill -9 $$"], timeout_s=10)
    assert found.value.code == -9


async def test_a_program_that_is_not_there_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        await process.run(["/no/such/program"], timeout_s=10)


async def test_a_process_left_behind_is_not_waited_for() -> None:
    began_at = time.monotonic()
    assert await process.run(["sh", "-c", "sleep 20 & echo $!"], timeout_s=15) != b""
    assert time.monotonic() - began_at < 10


@pytest.mark.parametrize("end", ["timeout", "cancel"])
async def test_a_command_not_waited_for_is_killed_and_reaped(end: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {pid_file}; exec sleep 1000"]
    work = asyncio.ensure_future(process.run(command, timeout_s=0.2 if end == "timeout" else 100))
    async with asyncio.timeout(10):
        while not (pid_file.exists() and pid_file.read_text()):
            await asyncio.sleep(0.01)
    if end == "cancel":
        work.cancel()
    with pytest.raises(TimeoutError if end == "timeout" else asyncio.CancelledError):
        await work
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()


async def test_a_child_nobody_waits_for_is_reaped() -> None:
    child = process.start(["true"])
    async with asyncio.timeout(10):
        while child.returncode is None:
            await asyncio.sleep(0.01)
    assert not Path(f"/proc/{child.pid}").exists()
    child.kill()  # harmless by now
    assert await child.wait() == 0


async def test_several_may_wait_and_one_may_give_up() -> None:
    child = process.start(["sleep", "0.2"])
    waits = [asyncio.ensure_future(child.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waits[0].cancel()
    assert await asyncio.gather(*waits[1:]) == [0, 0]


def test_starting_under_uvloop_does_not_copy_the_address_space() -> None:
    """uvloop's own start took 7 to 10 ms each, on the loop: half of what a pod start cost."""

    async def main() -> float:
        await process.run(["true"], timeout_s=10)
        began_at = time.perf_counter()
        for _ in range(20):
            await process.run(["true"], timeout_s=10)
        return (time.perf_counter() - began_at) / 20

    assert uvloop.run(main()) < 0.05


async def test_a_command_that_takes_too_long_is_named_with_its_limit() -> None:
    with pytest.raises(TimedOut, match=r"'sleep 1000' did not end within its limit of 0\.01 s and was killed"):
        await process.run(["sleep", "1000"], timeout_s=0.01)
