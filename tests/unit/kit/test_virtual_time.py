"""The loop on which nobody waits: what passes on it, what does not, and what its clock says."""

import asyncio
import time
from datetime import timedelta

import pytest

from wherry.testing.virtual_time import EPOCH, VirtualClock

pytestmark = pytest.mark.virtual_time
DAY_S = 86400.0


async def test_sleepers_wake_in_the_order_of_their_times_and_a_year_passes_at_once() -> None:
    began_at, clock, woken = time.monotonic(), VirtualClock(), []

    async def sleeper(days: float) -> None:
        await asyncio.sleep(days * DAY_S)
        woken.append((days, clock.now() - EPOCH))

    async with asyncio.TaskGroup() as tasks:
        for days in (365.0, 1.0, 30.5):
            tasks.create_task(sleeper(days), name="sleeper")
    assert [days for days, _ in woken] == [1.0, 30.5, 365.0]
    assert all(abs(at - timedelta(days=days)) < timedelta(milliseconds=1) for days, at in woken)
    assert time.monotonic() - began_at < 60


async def test_a_time_limit_ends_what_waits_for_ever() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(DAY_S):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == pytest.approx(DAY_S)


async def test_no_time_passes_while_a_thread_works_for_the_loop() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.to_thread(time.sleep, 0.05)
    assert asyncio.get_running_loop().time() == 0.0


async def test_a_jump_of_the_date_is_no_time_that_passes() -> None:
    clock = VirtualClock()
    await asyncio.sleep(5)
    clock.jump(-DAY_S)
    assert clock.now() == EPOCH + timedelta(seconds=5 - DAY_S)
    assert asyncio.get_running_loop().time() == 5.0


def test_the_clock_can_be_read_without_a_loop() -> None:
    assert VirtualClock().now() == EPOCH
