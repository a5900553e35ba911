"""Faults between the agent and the API server: what the simulation found only the two together to show."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from agent_rig import Rig, container, pod, rig_in

from wherry.orchestration.client.transport import Call
from wherry.orchestration.objects.kinds import PODS
from wherry.testing.faults import CONFLICT, UNAVAILABLE, always, first, nothing

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """With an agent that runs."""
    async with rig_in(tmp_path) as rig, rig.running():
        await asyncio.sleep(5)
        yield rig


def of_pods(method: str) -> Callable[[Call], bool]:
    return lambda call: call.method == method and "/pods/" in call.path


async def test_a_conflict_at_the_last_deletion_is_not_the_end(rig: Rig) -> None:
    """Found by the simulation (seed 21): a pod that was never deleted, because the server had once said 409."""
    await rig.create(pod("web", container()))
    await asyncio.sleep(5)
    assert rig.status()["phase"] == "Running"
    rig.faults.script = first(2, CONFLICT, of_pods("DELETE"))
    await rig.client().delete(PODS, "web", "default", grace_s=1)
    await asyncio.sleep(30)
    assert rig.pod() is None and sum(map(of_pods("DELETE"), rig.faults.calls)) == 3


async def test_a_conflict_at_a_status_is_told_again(rig: Rig) -> None:
    rig.faults.script = first(3, CONFLICT, of_pods("PATCH"))
    await rig.create(pod("web", container()))
    await asyncio.sleep(30)
    assert rig.status()["phase"] == "Running" and sum(map(of_pods("PATCH"), rig.faults.calls)) > 3


async def test_a_status_is_told_though_the_date_was_set_back_after_a_try_that_failed(rig: Rig) -> None:
    """Found by the simulation: what failed waited for a date, and nothing of the pod was told for hours."""
    rig.faults.script = always(UNAVAILABLE, of_pods("PATCH"))
    await rig.create(pod("web", container()))
    await rig.until(lambda: any(map(of_pods("PATCH"), rig.faults.calls)))
    await asyncio.sleep(3)
    rig.faults.script = nothing
    rig.api.server.clock.jump(-7200)  # type: ignore[attr-defined]
    await asyncio.sleep(30)
    assert rig.status()["phase"] == "Running"
