"""A node's pods get addresses of the range that its Node names."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wherry.assembly.node import NodeSettings
from wherry.assembly.node_range import node_range, range_file
from wherry.orchestration.agent.facts.settings import AgentSettings
from wherry.orchestration.objects.kinds import NODES
from wherry.testing.api import TestApi, api_server
from wherry.testing.faults import UNAVAILABLE, Faults, always


class Rig:
    def __init__(self, folder: Path, api: TestApi) -> None:
        self.api = api
        self.faults = Faults()
        self.client = api.client_through(self.faults)
        self.settings = NodeSettings(folder, node_name="n")
        self.agent = AgentSettings(node_name="n", node_ip="192.0.2.1", data_dir=folder, log_dir=folder / "log")

    async def range(self) -> str:
        async with asyncio.timeout(10):
            return await node_range(self.settings, self.client, self.agent)

    async def give(self, cidr: str) -> None:
        async with asyncio.timeout(10):
            while self.api.find(NODES, "n", "") is None:
                await asyncio.sleep(0.005)
        assert "podCIDR" not in self.api.find(NODES, "n", "")["spec"], "the node asks for none of its own"
        await self.api.client.patch(NODES, "n", "", {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}})


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with api_server() as api:
        yield Rig(tmp_path, api)


async def test_a_new_node_is_registered_and_waits_for_the_range_it_is_given(rig: Rig) -> None:
    found, _ = await asyncio.gather(rig.range(), rig.give("10.244.3.0/24"))
    assert found == "10.244.3.0/24"
    assert range_file(rig.settings).read_text() == found


async def test_the_range_is_known_while_the_api_is_away(rig: Rig) -> None:
    await asyncio.gather(rig.range(), rig.give("10.244.3.0/24"))
    rig.faults.script = always(UNAVAILABLE)
    assert await rig.range() == "10.244.3.0/24"


async def test_what_the_api_names_is_taken_over_what_was_kept(rig: Rig) -> None:
    range_file(rig.settings).write_text("10.244.9.0/24")
    assert await asyncio.gather(rig.range(), rig.give("10.244.3.0/24")) == ["10.244.3.0/24", None]
    assert range_file(rig.settings).read_text() == "10.244.3.0/24"


async def test_a_damaged_file_is_one_that_is_not_there(rig: Rig) -> None:
    range_file(rig.settings).write_text("\0" * 12)
    assert await asyncio.gather(rig.range(), rig.give("10.244.3.0/24")) == ["10.244.3.0/24", None]
