"""Watch events as text: made once for everybody who gets the same, and kept within bounds."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import uvloop

from wherry.orchestration.apiserver.call.negotiation import form_of
from wherry.orchestration.apiserver.call.rendering import Renderer
from wherry.orchestration.apiserver.registry.cache import LINES_BYTES_MAX, LINES_KEPT_MAX, Lines
from wherry.orchestration.apiserver.user import ADMIN
from wherry.orchestration.apiserver.verbs import watching
from wherry.orchestration.apiserver.verbs.options import read_options
from wherry.orchestration.objects.kinds import CONFIG_MAPS
from wherry.testing.api import TestApi, api_server, request_for

PATH = "/api/v1/namespaces/default/configmaps"


def test_a_line_is_made_once_while_it_is_kept() -> None:
    lines, made = Lines(), []
    for _ in range(3):
        assert lines.of("a", lambda: made.append("a") or b"line") == b"line"  # type: ignore[func-returns-value]
    assert made == ["a"]


def test_lines_are_bounded_in_number_and_bytes_and_the_newest_is_kept() -> None:
    lines = Lines()
    for number in range(10 * LINES_KEPT_MAX):
        lines.of(number, lambda: bytes(LINES_BYTES_MAX // 8))
    kept = lines._kept
    assert sum(map(len, kept.values())) == lines._bytes <= LINES_BYTES_MAX and len(kept) <= LINES_KEPT_MAX
    lines.of("huge", lambda: bytes(2 * LINES_BYTES_MAX))
    assert list(kept) == ["huge"]
    lines.of("next", lambda: b"x")
    assert list(kept) == ["next"] and lines._bytes == 1


async def test_watchers_of_one_form_get_the_same_bytes_object_and_others_their_own_form() -> None:
    async with api_server() as api:
        whole = [await follow(api) for _ in range(3)]
        parts = await follow(api, accept="application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        await api.call("POST", PATH, {"metadata": {"name": "a"}, "data": {"k": "x" * 5000}})
        seen = [await anext(stream) for stream in whole]
        assert b'"ADDED"' in seen[0] and b"x" * 5000 in seen[0]
        assert all(line is seen[0] for line in seen)
        assert b"PartialObjectMetadata" in (alone := await anext(parts)) and b"x" * 5000 not in alone
        await api.call("DELETE", f"{PATH}/a")
        assert [b'"DELETED"' in await anext(stream) for stream in (*whole, parts)] == [True] * 4


async def follow(api: TestApi, accept: str = "application/json") -> AsyncIterator[bytes]:
    """The lines of a watch that begins now."""
    response: Any = await api.raw("GET", f"{PATH}?watch=true&resourceVersion={api.server.registry.revision}", accept=accept)
    await asyncio.sleep(0)
    assert response.status == 200
    lines: AsyncIterator[bytes] = response.body
    return lines


def test_watches_end_at_times_between_two_ticks_of_the_loops_clock() -> None:
    """uvloop's clock has milliseconds and its timers are rounded to them: some ring before their time has come."""
    async def lines(api: TestApi, timeout_s: float) -> list[bytes]:
        served = api.server.table.of(CONFIG_MAPS)
        options = read_options(request_for("GET", f"{PATH}?watch=true", b"", ADMIN), served)
        stream = await watching.watch(
            api.server.registry, served, "default", options, Renderer(served, form_of(""), api.server.clock),
            timeout_s=timeout_s, bookmark_period_s=0)
        return [line async for line in stream]

    async def all_end() -> None:
        async with api_server() as api, asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            for number in range(300):
                tasks.create_task(lines(api, 0.005 + number * 0.00011))
                await asyncio.sleep(0.001)

    uvloop.run(all_end())
