"""The fake engine keeps what `wherry.testing.engine_suite` promises, so tests on it mean something."""

from pathlib import Path

import pytest

from wherry.container.runtime.engine import Engine
from wherry.testing.engine_suite import EngineSuite
from wherry.testing.fake_engine import FakeEngine


class TestFakeEngine(EngineSuite):
    @pytest.fixture
    async def engine(self) -> Engine:
        engine = FakeEngine()
        await engine.restore()
        return engine

    @pytest.fixture
    def image(self) -> str:
        return "sha256:0"

    @pytest.fixture
    def log_dir(self, tmp_path: Path) -> Path:
        return tmp_path
