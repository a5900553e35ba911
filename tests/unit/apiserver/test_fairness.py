"""Seats in turn: a user with very many requests delays the others by a turn, not by all of them."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.apiserver.errors import ApiError
from wherry.orchestration.apiserver.serving.fairness import FairQueue
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.user import AUTHENTICATED, User
from wherry.testing.api import api_server, request_for

SMALL = ApiServerSettings(seats=4, user_seats=2, user_waiting_max=50)


async def turns(rounds: int = 5) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


async def test_another_user_is_seated_while_one_user_has_many_waiting() -> None:
    queue = FairQueue(SMALL)
    async with asyncio.TaskGroup() as tasks:
        greedy = [tasks.create_task(queue.take("greedy")) for _ in range(40)]
        await turns()
        assert sum(task.done() for task in greedy) == 2
        async with asyncio.timeout(1):
            await queue.take("modest")
        assert queue.taken == 3
        for task in greedy:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.gather(*greedy[2:])


async def test_users_who_wait_get_seats_in_turn() -> None:
    queue, order = FairQueue(ApiServerSettings(seats=1, user_seats=1)), []

    async def work(user: str) -> None:
        await queue.take(user)
        order.append(user)
        await turns(1)
        queue.give_back(user)

    await queue.take("a")
    async with asyncio.TaskGroup() as tasks:
        for user in ("a", "a", "a", "a", "b", "c", "b"):
            tasks.create_task(work(user))
        await turns()
        queue.give_back("a")
    assert order == ["a", "b", "c", "a", "b", "a", "a"]
    assert queue.taken == 0


async def test_too_many_of_one_user_are_told_to_come_back_and_another_is_not() -> None:
    queue = FairQueue(SMALL)
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(queue.take("greedy")) for _ in range(2 + 50)]
        await turns()
        with pytest.raises(ApiError) as refused:
            await queue.take("greedy")
        assert (refused.value.code, refused.value.reason, refused.value.retry_after_s) == (429, "TooManyRequests", 1)
        await queue.take("modest")
        for task in waiting:
            task.cancel()


async def test_a_seat_that_is_free_as_waiting_clients_hang_up_goes_to_one_who_still_waits() -> None:
    queue = FairQueue(ApiServerSettings(seats=1, user_seats=1))
    await queue.take("a")
    async with asyncio.TaskGroup() as tasks:
        gone = [tasks.create_task(queue.take("a")) for _ in range(3)]
        stays = tasks.create_task(queue.take("a"))
        other = tasks.create_task(queue.take("b"))
        await turns()
        for task in gone:
            task.cancel()
        queue.give_back("a")  # before the cancelled ones have run
        await asyncio.wait([stays])
        assert queue.taken == 1
        queue.give_back("a")
        await asyncio.wait([other])
        queue.give_back("b")
    assert queue.taken == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["take", "finish", "cancel"])), max_size=60))
async def test_no_seat_is_lost_or_given_twice_whatever_ends_when(steps: list[tuple[str, str]]) -> None:
    queue = FairQueue(SMALL)
    tasks: dict[str, list[asyncio.Task[None]]] = {user: [] for user in "abc"}
    for user, step in steps:
        seated = [task for task in tasks[user] if task.done()]
        if step == "take":
            tasks[user].append(asyncio.get_running_loop().create_task(queue.take(user)))
        elif step == "finish" and seated:
            tasks[user].remove(seated[0])
            queue.give_back(user)
        elif step == "cancel" and len(tasks[user]) > len(seated):
            task = next(task for task in tasks[user] if not task.done())
            tasks[user].remove(task)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():  # it was seated in the same moment
                tasks[user].append(task)
        await turns()
        held = {name: sum(task.done() for task in found) for name, found in tasks.items()}
        assert sum(held.values()) == queue.taken <= 4 and max(held.values()) <= 2
        idle = [name for name, found in tasks.items() if held[name] < len(found) and held[name] < 2]
        assert not idle or queue.taken == 4
    for task in [task for found in tasks.values() for task in found if not task.done()]:
        task.cancel()
    await turns()


async def test_the_server_seats_users_and_never_its_own_parts_or_administrators() -> None:
    settings = ApiServerSettings(seats=2, user_seats=1, user_waiting_max=1)
    async with api_server(settings=settings) as api:
        token = User("someone", groups=(AUTHENTICATED,))
        pipeline = api.server._pipeline
        release = asyncio.Event()
        act: Callable[..., object] = pipeline._act

        async def slow(*given: object) -> object:
            await release.wait()
            return await act(*given)  # type: ignore[misc]

        pipeline._act = slow  # type: ignore[method-assign, assignment]
        pipeline._authenticated = lambda request: token  # type: ignore[method-assign, assignment]

        def review() -> object:
            request = request_for("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", b"{}", token)
            request.identity = None
            return api.server.handle(request)

        async with asyncio.TaskGroup() as tasks:
            sent = [tasks.create_task(review()) for _ in range(3)]  # type: ignore[arg-type]
            await turns(20)
            refused = [task.result() for task in sent if task.done()]
            assert [(answer.status, dict(answer.headers)["retry-after"]) for answer in refused] == [(429, "1")]  # type: ignore[attr-defined]
            release.set()
