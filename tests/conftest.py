"""For every test: downloads of packages are shared and stay inside the checkout, where `make clean` removes them; nothing is
collected between fork and exec; the speed of the machine decides nothing; who is marked `virtual_time` does not wait."""

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from wherry.testing.virtual_time import VirtualLoop

# How long an example takes says how busy the machine is.
settings.register_profile("wherry", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wherry")

os.environ.setdefault("WHERRY_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "downloads"))

_was_enabled: list[bool] = []


def _pause() -> None:
    _was_enabled.append(gc.isenabled())
    gc.disable()


def _resume() -> None:
    if _was_enabled and _was_enabled.pop():
        gc.enable()


# uvloop forks, and does Python's work after a fork in the child before it executes. A collection there ends what another test left:
# grpc's completion queues wait in their end for a thread that the child does not have. The child never executes, and the parent's
# loop waits for it where no time limit reaches. (Nothing of Wherry starts processes by uvloop: kit/process.py.)
os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_resume)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualLoop} if item.get_closest_marker("virtual_time") else {"asyncio": asyncio.new_event_loop}
