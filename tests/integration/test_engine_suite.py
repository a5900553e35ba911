"""The embedded engine keeps the contract that the agent's fake engine keeps."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from engine_harness import harness

from wherry.container.runtime.engine import Engine
from wherry.testing.engine_suite import EngineSuite

pytestmark = pytest.mark.node


class TestCrunEngine(EngineSuite):
    @pytest_asyncio.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[Engine]:
        async with harness(tmp_path) as made:
            yield made.engine

    @pytest.fixture
    def image(self) -> str:
        return "sha256:busybox"

    @pytest.fixture
    def log_dir(self, tmp_path: Path) -> Path:
        return tmp_path / "suite-logs"
