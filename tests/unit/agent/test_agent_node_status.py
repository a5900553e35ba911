"""What a node writes of itself, to the real API server: news at once, and nothing where there is none."""

import asyncio
from pathlib import Path

import pytest

from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.agent.node.loop import NodeLoop
from wherry.orchestration.agent.node.machine import Machine
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.objects.kinds import NODES
from wherry.orchestration.objects.meta import revision_of
from wherry.testing.api import api_server
from wherry.testing.fake_engine import FakeImages
from wherry.testing.virtual_time import VirtualClock

pytestmark = pytest.mark.virtual_time


@pytest.mark.parametrize("memory_bytes", [
    pytest.param(32 << 30, id="memory in whole gibibytes"),
    pytest.param((32 << 30) + 1024, id="memory in kibibytes"),
    pytest.param((8 << 30) + (5 << 20), id="memory in mebibytes"),
])
async def test_a_node_without_news_reports_every_five_minutes(tmp_path: Path, memory_bytes: int) -> None:
    machine = Machine(4, memory_bytes, 100 << 30, "amd64", "6.18", "Debian", "m", "s", "b")
    clock, settings = VirtualClock(), AgentSettings("n", "192.0.2.1", tmp_path, tmp_path / "logs")
    async with api_server(clock=clock) as api, asyncio.TaskGroup() as tasks:
        node = NodeLoop(settings, api.client, FakeImages.of("app:1"), machine, Recorder(api.client, "kubelet"), clock)
        await node.register()
        running = tasks.create_task(node.run())
        first = revision_of(await api.client.get(NODES, "n"))
        await asyncio.sleep(290)
        assert revision_of(await api.client.get(NODES, "n")) == first
        await asyncio.sleep(30)
        assert revision_of(await api.client.get(NODES, "n")) != first
        running.cancel()
