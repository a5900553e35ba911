"""The real engine keeps the same promises as the fake one that the agent's unit tests run on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_node import real_node

from wherry.container.runtime.engine import Engine
from wherry.testing.engine_suite import EngineSuite

pytestmark = pytest.mark.node


class TestCrunEngine(EngineSuite):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        async with real_node() as (_, engines):
            await engines[-1].restore()
            yield engines[-1]

    @pytest.fixture
    def image(self) -> str:
        return "sha256:0"

    @pytest.fixture
    def log_dir(self, tmp_path: Path) -> Path:
        return tmp_path
