"""Defects to plant: the simulation must find them, or it finds nothing.

In:    a name, or None for none.
Out:   the program with that defect while the block lasts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wherry.orchestration.client.expectations import Expectations
from wherry.orchestration.client.leader_election import Election
from wherry.orchestration.store.memory import MemoryStore


@contextmanager
def defect(name: str | None) -> Iterator[None]:
    """`lying`: one write in fifty is answered and not done. `forgetful`: nobody waits for the caches to show what they wrote.

    `greedy`: a Lease is taken whoever holds it."""
    if name is None:
        yield
        return
    owner, attribute, broken = DEFECTS[name]
    sound = getattr(owner, attribute)
    setattr(owner, attribute, broken)
    try:
        yield
    finally:
        setattr(owner, attribute, sound)


_sound_put = MemoryStore.put


async def _lying(self: Any, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
    if "/apps/" in key and self._revision % 10 == 0:
        return int(self._revision)
    return await _sound_put(self, key, value, expected=expected, frees=frees)


def _forgetful(self: Any, key: Any, *resources: Any) -> bool:
    return True


def _greedy(self: Any) -> bool:
    return False


DEFECTS: dict[str, tuple[type, str, Any]] = {
    "lying": (MemoryStore, "put", _lying),
    "forgetful": (Expectations, "met", _forgetful),
    "greedy": (Election, "_is_anothers", _greedy),
}
