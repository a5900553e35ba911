"""One seed, one run: a virtual loop on which threads do not exist, and every source of chance drawn from the seed.

In:    a seed.
Out:   `run(seed, main)`: `main` on a fresh loop; the same seed gives the same run, in a process begun by `same_every_time`.
"""

import asyncio
import ctypes
import gc
import os
import random
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from wherry.testing.virtual_time import VirtualLoop

ADDR_NO_RANDOMIZE = 0x0040000  # linux/personality.h
MARK = "WHERRY_SIMULATION"

TURNS_OF_A_MOMENT_MAX = 20_000

_T = TypeVar("_T")


class Endless(AssertionError):
    """Work goes on for ever while no time passes."""


class NumberedTask(asyncio.Task):  # type: ignore[type-arg]
    """Sets of tasks (a TaskGroup's) have the same order every time."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class SimLoop(VirtualLoop):
    """Work for threads is done at once, in the order it is asked for. `turns` counts what the loop went round."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = self.tasks = self._turns_then = 0
        self._moment = 0.0
        self.set_task_factory(self._numbered)

    def _numbered(self, loop: Any, coro: Any, **named: Any) -> NumberedTask:
        self.tasks += 1
        task = NumberedTask.__new__(NumberedTask)
        task.number = self.tasks  # before it is begun: it is put into sets there
        task.__init__(coro, loop=loop, **named)  # type: ignore[misc]
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., _T], *args: Any) -> "asyncio.Future[_T]":  # type: ignore[override]
        future: asyncio.Future[_T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who awaits
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        self.turns += 1
        if self.elapsed_s != self._moment:
            self._moment, self._turns_then = self.elapsed_s, self.turns
        if self.turns - self._turns_then > TURNS_OF_A_MOMENT_MAX:
            self._turns_then = self.turns
            raise Endless(f"{TURNS_OF_A_MOMENT_MAX} turns of the loop in one moment: somebody works without end")
        super()._run_once()  # type: ignore[misc]


def run(seed: int, main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run `main` with all chance drawn from `seed`."""
    gc.collect()
    gc.disable()  # a collection ends generators, at moments that depend on what ran before
    try:
        with seeded(seed), asyncio.Runner(loop_factory=SimLoop) as runner:
            return runner.run(main())
    finally:
        gc.enable()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """`random`, and what uid are made of, follow from `seed`."""
    bytes_of = random.Random(f"bytes {seed}").randbytes
    random.seed(seed)
    before, os.urandom = os.urandom, bytes_of
    try:
        yield
    finally:
        os.urandom = before


def same_every_time() -> None:
    """Begin this program again, once, so that hashes and addresses are the same each time: sets have an order of their own."""
    if os.environ.get(MARK):
        return
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, MARK: "1", "PYTHONHASHSEED": "0"})
