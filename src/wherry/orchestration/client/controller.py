"""Run a reconcile function over a queue with some workers; whatever fails is logged and tried again later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from wherry.kit.errors import AlreadyExists, Conflict, NotFound, WherryError
from wherry.kit.supervise import attempt
from wherry.orchestration.client.workqueue import Key, KeyedQueue

log = logging.getLogger(__name__)


async def run_controller(
    name: str, queue: KeyedQueue[Key], reconcile: Callable[[Key], Awaitable[None]], workers: int
) -> None:
    """Reconcile keys until cancelled. A lost race is retried silently, a refusal with a line, a bug with its trace."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(workers):
                tasks.create_task(_work(name, queue, reconcile), name=f"{name}-{number}")
    finally:
        queue.close()


async def _work(name: str, queue: KeyedQueue[Key], reconcile: Callable[[Key], Awaitable[None]]) -> None:
    while True:
        async with queue.take() as key:
            if not await attempt(f"{name} {key}", _reconcile(name, queue, reconcile, key)):
                queue.retry(key)


async def _reconcile(
    name: str, queue: KeyedQueue[Key], reconcile: Callable[[Key], Awaitable[None]], key: Key
) -> None:
    try:
        await reconcile(key)
    except (Conflict, AlreadyExists, NotFound) as error:  # the cache was behind the server
        log.debug("%s %s: %s; retrying", name, key, error)
        queue.retry(key)
    except WherryError as error:
        log.warning("%s %s: %s; retrying", name, key, error)
        queue.retry(key)
    else:
        queue.forget(key)
