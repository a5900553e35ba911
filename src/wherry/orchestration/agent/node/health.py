"""What the node's `/healthz` looks at beside `ping`: `log` and `syncloop`, as kubelet's.

In:    the monotonic clock; who goes round tells of every round.
Out:   checks for `kit.health.Health`.
Spec:  pkg/kubelet/server/server.go: a round may take twice its period, and never less than five minutes.
"""

import logging

from wherry.kit.clock import loop_time
from wherry.kit.errors import Broken
from wherry.kit.http.health import Health

ROUND_S_MIN = 300.0


class SyncLoopMonitor:
    """Knows when the engine was last looked at as a whole. Before the first round all is well: the node starts."""

    def __init__(self, period_s: float) -> None:
        self._limit_s = max(2 * period_s, ROUND_S_MIN)
        self._round_at: float | None = None

    def went_round(self) -> None:
        """The engine was listed and every pod that differs was told."""
        self._round_at = loop_time()

    async def check(self) -> None:
        """Raise `Broken` when the last round is too long ago."""
        if self._round_at is not None and loop_time() - self._round_at > self._limit_s:
            raise Broken("sync Loop took longer than expected")


async def check_log() -> None:
    """Raise `Broken` when what was logged cannot be written."""
    for handler in logging.getLogger().handlers:
        try:
            handler.flush()
        except (OSError, ValueError) as error:
            raise Broken(f"log lines are not written: {error}; see what {handler} writes to") from error


def node_health(monitor: SyncLoopMonitor) -> Health:
    """All checks of a node."""
    health = Health()
    health.add("log", check_log)
    health.add("syncloop", monitor.check)
    return health
