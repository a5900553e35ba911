"""Nobody's requests hold up everybody else's: seats in turn, user by user.

In:    who asks.
Out:   a seat, at once while there are free ones; else in turn with the other users that wait. 429 when a user has too many
       waiting, or waits too long.
Spec:  the purpose of API priority and fairness (upstream's max-in-flight is 400 and 200); FlowSchemas are not read yet.
Cost:  under 1 us a request while nobody waits.
Never: counts watches, logs, exec or proxied requests: they may last for ever.
"""

import asyncio
from collections import deque

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.settings import ApiServerSettings

WAIT_S_MAX = 15.0  # a quarter of the request timeout, as upstream
RETRY_AFTER_S = 1


class FairQueue:
    """`async take(user)`, the work, `give_back(user)`."""

    def __init__(self, settings: ApiServerSettings) -> None:
        self._seats = settings.seats
        self._user_seats = settings.user_seats
        self._user_waiting_max = settings.user_waiting_max
        self._taken = 0
        self._active: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # in the order in which users get their turn

    @property
    def taken(self) -> int:
        """Seats in use."""
        return self._taken

    async def take(self, user: str) -> None:
        """Return with a seat. Raise `ApiError` 429."""
        if self._may_sit(user) and user not in self._waiting:
            self._sit(user)
            return
        queue = self._waiting.setdefault(user, deque())
        if len(queue) >= self._user_waiting_max:
            raise _too_many()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        queue.append(turn)
        patience = loop.call_later(WAIT_S_MAX, _give_up, turn)
        is_seated = False
        try:
            await turn
            is_seated = True
        finally:
            patience.cancel()
            if not is_seated:
                self._leave(user, turn)

    def give_back(self, user: str) -> None:
        """The seat of a finished request; the next in turn gets it."""
        left = self._active[user] - 1
        if left:
            self._active[user] = left
        else:
            del self._active[user]
        self._taken -= 1
        if self._waiting:
            self._seat_next()

    def _may_sit(self, user: str) -> bool:
        return self._taken < self._seats and self._active.get(user, 0) < self._user_seats

    def _sit(self, user: str) -> None:
        self._active[user] = self._active.get(user, 0) + 1
        self._taken += 1

    def _seat_next(self) -> None:
        for user in list(self._waiting):
            if self._taken >= self._seats:
                return
            if not self._may_sit(user):
                continue
            queue = self._waiting.pop(user)
            turn = queue.popleft()
            while turn.done() and queue:  # its client went away and its task has not run since
                turn = queue.popleft()
            if queue:
                self._waiting[user] = queue  # at the end: the others come first
            if not turn.done():
                self._sit(user)
                turn.set_result(None)

    def _leave(self, user: str, turn: "asyncio.Future[None]") -> None:
        """A waiter went away, perhaps just after it was given its seat."""
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self.give_back(user)
            return
        queue = self._waiting.get(user)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[user]


def _give_up(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(_too_many())


def _too_many() -> errors.ApiError:
    return errors.ApiError(
        429, "TooManyRequests", "Too many requests, please try again later.", retry_after_s=RETRY_AFTER_S)
