"""Keep a component running: the one broad handler of the tree, so that one failure never ends the process."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

RESTART_DELAY_S_MIN = 1.0
RESTART_DELAY_S_MAX = 30.0


async def keep_running(name: str, start: Callable[[], Awaitable[None]]) -> None:
    """Await `start()` for ever, again after each failure, with doubling delays of 1 to 30 s. Cancel to stop."""
    delay_s = RESTART_DELAY_S_MIN
    while True:
        began_at = asyncio.get_running_loop().time()
        try:
            await start()
            log.warning("%s ended by itself", name)
        except Exception:  # the one broad handler: a component must not end the node
            log.exception("%s failed", name)
        if asyncio.get_running_loop().time() - began_at > RESTART_DELAY_S_MAX:
            delay_s = RESTART_DELAY_S_MIN  # it had been healthy
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, RESTART_DELAY_S_MAX)


async def attempt(name: str, work: Awaitable[None]) -> bool:
    """Await `work` once; log a failure and return False instead of raising. For work queues and per-request tasks."""
    try:
        await work
    except Exception:
        log.exception("%s failed", name)
        return False
    return True
