"""Container logs: options, tail, times, limits, follow across rotation, which run is meant."""

import asyncio
import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from agent_rig import container, pod
from hypothesis import given
from hypothesis import strategies as st

from wherry.container.runtime.engine import ContainerStatus, State
from wherry.kit.errors import Invalid
from wherry.orchestration.agent.logs.reader import LogOptions, Shaper, parse_options, read_log
from wherry.orchestration.agent.logs.rotation import compact
from wherry.orchestration.agent.logs.select import chosen_run
from wherry.orchestration.agent.logs.wake import Waker

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)


def line(text: str, second: int = 0, tag: str = "F", stream: str = "stdout") -> str:
    return f"2026-11-23T05:59:{second:02}.123456789Z {stream} {tag} {text}\n"


async def content(path: Path, *, ended: bool = True, **options: Any) -> str:
    async with Waker(path.parent) as waker:
        parts = [p async for p in read_log(path, LogOptions(**options), is_ended=lambda: ended, waker=waker)]
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({}, "a\nbc\nd\n", id="everything, partial lines joined"),
        pytest.param({"tail_lines": 1}, "d\n", id="last line"),
        pytest.param({"tail_lines": 0}, "", id="no line"),
        pytest.param({"tail_lines": 99}, "a\nbc\nd\n", id="more than there are"),
        pytest.param({"limit_bytes": 3}, "a\nb", id="byte limit"),
        pytest.param({"since": datetime(2026, 11, 23, 5, 59, 2, tzinfo=UTC)}, "d\n", id="since"),
        pytest.param({"stream": "stderr"}, "d\n", id="one stream"),
        pytest.param(
            {"timestamps": True, "tail_lines": 1}, "2026-11-23T05:59:02.123456789Z d\n", id="time stamps"
        ),
    ],
)
async def test_options(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    path = tmp_path / "0.log"
    path.write_text(line("a") + line("b", 1, "P") + line("c", 1) + line("d", 2, stream="stderr"))
    assert await content(path, **options) == text


def test_time_stamps_of_conmon_are_shown_as_utc() -> None:
    lines = [b"2026-11-23T05:59:02.1+00:00 stdout F a"]
    assert list(Shaper(LogOptions(timestamps=True)).shape(lines)) == [b"2026-11-23T05:59:02.1Z a\n"]


async def test_missing_log_is_empty(tmp_path: Path) -> None:
    assert await content(tmp_path / "0.log") == ""


async def test_follow_reads_on_through_rotation_until_the_container_ends(tmp_path: Path) -> None:
    path, ended = tmp_path / "0.log", asyncio.Event()
    path.write_text(line("one"))
    seen: list[bytes] = []

    async def follow() -> None:
        async with Waker(tmp_path) as waker:
            stop.append(waker.wake)
            async for part in read_log(path, LogOptions(follow=True), is_ended=ended.is_set, waker=waker):
                seen.append(part)

    async def until(text: bytes) -> None:
        async with asyncio.timeout(5):
            while b"".join(seen) != text:
                await asyncio.sleep(0.002)

    stop: list[Any] = []
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(follow())
        await until(b"one\n")
        path.rename(tmp_path / "0.log.20261123-060000")
        with (tmp_path / "0.log.20261123-060000").open("a") as old:
            old.write(line("two"))
        await until(b"one\ntwo\n")
        path.write_text(line("three"))
        await until(b"one\ntwo\nthree\n")
        ended.set()
        stop[0]()
        async with asyncio.timeout(1):
            await task


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), max_size=6), st.integers(0, 7))
@pytest.mark.slow
def test_tail_of_any_text_is_its_last_lines(texts: list[str], count: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "0.log"
        path.write_bytes("".join(line(text) for text in texts).encode())
        found = asyncio.run(content(path, tail_lines=count))
        assert found == "".join(f"{text}\n" for text in (texts[-count:] if count else []))


@given(st.binary(max_size=200))
def test_hostile_log_never_breaks_the_shaper(data: bytes) -> None:
    list(Shaper(LogOptions(since=NOW, timestamps=True)).shape(data.split(b"\n")))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param({"tailLines": ["-1"]}, "tailLines", id="negative tail"),
        pytest.param({"sinceSeconds": ["0"]}, "sinceSeconds", id="no seconds"),
        pytest.param({"limitBytes": ["x"]}, "limitBytes", id="not a number"),
        pytest.param({"sinceTime": ["soon"]}, "sinceTime", id="not a time"),
        pytest.param({"sinceTime": ["2026-01-01T00:00:00Z"], "sinceSeconds": ["1"]}, "at most one", id="both"),
    ],
)
def test_bad_options_are_named(query: dict[str, list[str]], field: str) -> None:
    with pytest.raises(Invalid, match=field):
        parse_options(query, NOW)


def test_options_of_kubectl() -> None:
    query = {"follow": ["true"], "tailLines": ["5"], "timestamps": ["true"], "sinceSeconds": ["60"], "container": ["a"]}
    found = parse_options(query, NOW)
    assert (found.follow, found.tail_lines, found.timestamps) == (True, 5, True)
    assert found.since == datetime(2026, 11, 23, 5, 59, tzinfo=UTC)


def run(attempt: int, state: State) -> ContainerStatus:
    return ContainerStatus(f"c{attempt}", "s", "app", attempt, state, "i", "i", 0)


def shown(state: dict[str, Any]) -> dict[str, Any]:
    return {**pod("web", container()), "status": {"containerStatuses": [{"name": "app", "state": state}]}}


def test_previous_run() -> None:
    both = (run(0, State.EXITED), run(1, State.RUNNING))
    assert chosen_run(shown({"running": {}}), "app", both, previous=True).attempt == 0
    waiting = shown({"waiting": {"reason": "CrashLoopBackOff"}})
    assert chosen_run(waiting, "app", (run(0, State.EXITED),), previous=True).attempt == 0
    with pytest.raises(Invalid, match='previous terminated container "app" in pod "web" not found'):
        chosen_run(shown({"running": {}}), "app", (run(0, State.RUNNING),), previous=True)


def test_container_that_waits_for_its_image_says_so() -> None:
    waiting = shown({"waiting": {"reason": "ImagePullBackOff"}})
    text = 'container "app" in pod "web" is waiting to start: trying and failing to pull image'
    with pytest.raises(Invalid, match=text):
        chosen_run(waiting, "app", (), previous=False)


def test_rotated_logs_are_compressed_and_counted(tmp_path: Path) -> None:
    for second in range(6):
        (tmp_path / f"0.log.20261123-06000{second}").write_text(f"{second}")
    compact(tmp_path / "0.log", 5)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [f"0.log.20261123-06000{s}{'' if s == 5 else '.gz'}" for s in (2, 3, 4, 5)]
    assert gzip.decompress((tmp_path / "0.log.20261123-060002.gz").read_bytes()) == b"2"


def test_a_rotated_log_that_grew_too_fast_is_dropped_rather_than_compressed(tmp_path: Path) -> None:
    for second, size in enumerate((10, 5000, 10, 5000)):
        (tmp_path / f"0.log.20261123-06000{second}").write_bytes(bytes(size))
    compact(tmp_path / "0.log", 5, 1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "0.log.20261123-060000.gz", "0.log.20261123-060002.gz", "0.log.20261123-060003"]
