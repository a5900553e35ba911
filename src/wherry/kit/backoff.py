"""Exponential back-off per key, as data: no sleeping here.

Used by work queues (5 ms doubling to 1000 s in upstream), crash loops (10 s doubling to 300 s), image pulls.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays `first_s`, 2x, 4x ... up to `max_s`; a key is forgotten by `reset`."""

    first_s: float
    max_s: float
    _failures: dict[Hashable, int] = field(default_factory=dict)

    def next_delay_s(self, key: Hashable) -> float:
        """Count one more failure of `key` and return how long to wait before the next try."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        return min(self.first_s * 2.0 ** min(count, 64), self.max_s)

    def failures(self, key: Hashable) -> int:
        """How often `key` failed since it was last reset."""
        return self._failures.get(key, 0)

    def reset(self, key: Hashable) -> None:
        """Forget the failures of `key`."""
        self._failures.pop(key, None)
