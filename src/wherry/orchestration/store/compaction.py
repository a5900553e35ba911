"""Which revision to compact to: a pure policy and the loop that follows it.

In:    what time it is and the newest revision, once a minute.
Out:   a revision older than `HISTORY_S` and further back than `REVISIONS_KEPT`, so that watches and paged lists
       of ordinary clients (five minutes, as upstream) do not expire.
"""

import logging
from collections import deque

from wherry.kit.clock import Clock
from wherry.orchestration.store.contract import Store

HISTORY_S = 300.0  # kube-apiserver compacts etcd every five minutes
REVISIONS_KEPT = 10_000  # a quiet cluster keeps more than five minutes
INTERVAL_S = 60.0

log = logging.getLogger(__name__)


class CompactionPlan:
    """Remembers which revision was newest when; knows nothing of a store."""

    def __init__(self, history_s: float = HISTORY_S, revisions_kept: int = REVISIONS_KEPT) -> None:
        self._history_s = history_s
        self._revisions_kept = revisions_kept
        self._marks: deque[tuple[float, int]] = deque()
        self._done = 0

    def target(self, now_s: float, newest: int) -> int:
        """The revision to compact to now, or 0 when nothing is due."""
        self._marks.append((now_s, newest))
        old_enough = 0
        while self._marks and self._marks[0][0] <= now_s - self._history_s:
            old_enough = self._marks.popleft()[1]
        if old_enough:
            self._marks.appendleft((now_s - self._history_s, old_enough))
        target = min(old_enough, newest - self._revisions_kept)
        if target <= self._done:
            return 0
        self._done = target
        return target


async def keep_compacted(store: Store, clock: Clock, plan: CompactionPlan | None = None) -> None:
    """Compact once a minute, for ever. The owner of the store runs this; errors of the store end it."""
    plan = plan or CompactionPlan()
    while True:
        target = plan.target(clock.monotonic(), await store.revision())
        if target:
            await store.compact(target)
            log.info("history before revision %d compacted", target)
        await clock.sleep(INTERVAL_S)
