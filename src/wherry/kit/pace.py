"""How soon a key may have its next turn: at once as long as its turns are few, else at a steady rate. As data: no sleeping here.

A token bucket for each key (`burst` at once, one more every `period_s`). Two loops that undo each other's work, or one that acts on
what it does not see yet, then cost a few turns a second instead of everything.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

KEYS_MAX = 10_000  # beyond it those whose bucket is full again are forgotten


@dataclass(slots=True)
class Pace:
    """Buckets by key."""

    burst: int
    period_s: float
    _full_at: dict[Hashable, float] = field(default_factory=dict)  # when the bucket will be full again

    def delay_s(self, key: Hashable, now: float) -> float:
        """0: take the turn, it is counted. Else in how many seconds to ask again."""
        full_at = max(self._full_at.get(key, now), now)
        wait_s = full_at + self.period_s - now - self.burst * self.period_s
        if wait_s > 1e-9:
            return wait_s
        if len(self._full_at) >= KEYS_MAX:
            self._full_at = {other: at for other, at in self._full_at.items() if at > now}
        self._full_at[key] = full_at + self.period_s
        return 0.0
