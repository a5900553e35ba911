"""The node's HTTP API over a real socket, and who may use it."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agent_rig import Rig, container, pod, rig_in
from yarl import URL

from wherry.kit.errors import Broken, Forbidden
from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import serve
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.agent.node.health import SyncLoopMonitor, check_log
from wherry.orchestration.agent.node.review import Unauthorized, subresource_of

PRINTS = container("app", "sh", "-c", "echo hello; sleep infinity")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_in(tmp_path) as rig, rig.running() as agent:
        await rig.create(pod("web", PRINTS))
        await rig.phase("Running")
        async with serve(agent.api.handle) as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
            rig.http = http  # type: ignore[attr-defined]
            rig.node_agent = agent  # type: ignore[attr-defined]
            yield rig


async def get(rig: Any, path: str) -> tuple[int, str]:
    async with rig.http.get(path) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("path", "code", "text"),
    [
        pytest.param("/healthz", 200, "ok", id="health"),
        pytest.param("/healthz?verbose", 200, "[+]ping ok\n[+]log ok\n[+]syncloop ok\nhealthz check passed\n", id="each check"),
        pytest.param("/healthz/syncloop", 200, "ok", id="one check"),
        pytest.param("/healthz/nothing", 404, "404 page not found", id="no such check"),
        pytest.param("/metrics/slis", 200, 'kubernetes_healthcheck{name="syncloop",type="healthz"} 1\n', id="result of the sync loop"),
        pytest.param("/containerLogs/default/web/app", 200, "hello\n", id="logs"),
        pytest.param("/containerLogs/default/web/no", 404, 'container "no" not found in pod "web"\n', id="no container"),
        pytest.param("/containerLogs/default/no/app", 404, 'pod "no" not found in namespace "default"\n', id="no pod"),
        pytest.param("/containerLogs/default/web/app?tailLines=x", 400, "must be a number", id="bad option"),
        pytest.param("/containerLogs/default/web/app?previous=true", 400, "previous terminated container", id="no previous"),
        pytest.param("/checkpoint/default/web/app", 501, "not offered", id="refused by name"),
        pytest.param("/nothing", 404, "404 page not found", id="unknown path"),
        pytest.param("/metrics", 200, "kubelet_running_pods 1", id="own metrics"),
        pytest.param("/metrics/resource", 200, 'container_cpu_usage_seconds_total{container="app"', id="resource metrics"),
        pytest.param("/metrics/slis", 200, 'kubernetes_healthcheck{name="ping",type="healthz"} 1\n', id="results of health checks"),
        pytest.param("/metrics/slis", 200, 'kubernetes_healthchecks_total{name="ping",status="success",type="healthz"} 1\n',
                     id="number of health checks"),
        pytest.param("/metrics/cadvisor", 200, 'interface="eth0",name="",namespace="default",pod="web"} 700', id="network metrics"),
        pytest.param("/stats/summary", 200, '"nodeName":"node-1"', id="summary"),
        pytest.param("/stats/summary", 200, '"rxBytes":700', id="network summary"),
        pytest.param("/configz", 200, '"node_name":"node-1"', id="configuration"),
        pytest.param("/pods", 200, '"kind":"PodList"', id="pods"),
    ],
)
async def test_answers(rig: Rig, path: str, code: int, text: str) -> None:
    status, body = await get(rig, path)
    assert (status, text in body) == (code, True), body


@pytest.mark.virtual_time
async def test_health_fails_when_the_engine_is_no_longer_gone_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sandboxes() -> Any:
        if hangs.is_set():
            await asyncio.Event().wait()
        return await listed()

    async def ask(path: str) -> tuple[int, str]:
        answer = await agent.api.handle(Request("GET", path, path, {}, {}, b""))
        assert isinstance(answer, Response) and isinstance(answer.body, bytes)
        return answer.status, answer.body.decode()

    async with rig_in(tmp_path) as rig:
        listed, hangs = rig.engine.sandboxes, asyncio.Event()
        monkeypatch.setattr(rig.engine, "sandboxes", sandboxes)
        async with rig.running() as agent:
            await rig.create(pod("web", PRINTS))
            await rig.phase("Running")
            await asyncio.sleep(600)
            assert await ask("/healthz/syncloop") == (200, "ok")
            hangs.set()
            await asyncio.sleep(600)
            assert (await ask("/healthz/syncloop"))[0] == 500
            assert await ask("/healthz") == (500, "[+]ping ok\n[+]log ok\n[-]syncloop failed: reason withheld\nhealthz check failed\n")
            assert (await ask("/healthz/ping"))[0] == 200


@pytest.mark.virtual_time
async def test_a_round_may_take_twice_its_period_and_never_less_than_five_minutes() -> None:
    for period_s, limit_s in ((10.0, 300.0), (300.0, 600.0)):
        monitor = SyncLoopMonitor(period_s)
        await monitor.check()  # the node starts
        monitor.went_round()
        await asyncio.sleep(limit_s)
        await monitor.check()
        await asyncio.sleep(1.0)
        with pytest.raises(Broken, match="sync Loop took longer than expected"):
            await monitor.check()


async def test_health_fails_when_the_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "w", encoding="ascii")  # noqa: SIM115 - its buffer can never be written, not even by closing it
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(full)])
    full.write("a line")
    with pytest.raises(Broken, match="log lines are not written"):
        await check_log()
    with suppress(OSError):
        full.close()


async def test_log_folder_of_the_machine_is_served(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "machine"
    (folder / "pods").mkdir(parents=True)
    (folder / "syslog").write_text("it booted\n")
    (folder / "newest").symlink_to(folder / "syslog")
    agent: Agent = rig.node_agent  # type: ignore[attr-defined]
    agent.api._parts = replace(agent.api._parts, settings=replace(agent.api._parts.settings, machine_log_dir=folder))
    assert '<a href="./syslog">syslog</a>' in (await get(rig, "/logs/"))[1]
    assert '<a href="./pods/">pods/</a>' in (await get(rig, "/logs"))[1]
    assert await get(rig, "/logs/syslog") == (200, "it booted\n")
    assert await get(rig, "/logs/newest") == (200, "it booted\n")
    assert (await get(rig, "/logs/nothing"))[0] == 404
    async with rig.http.head("/logs/syslog") as answer:  # type: ignore[attr-defined]
        assert (answer.status, answer.headers["content-length"]) == (200, "10")


@pytest.mark.parametrize("way", ["link", "link-to-folder/passwd", "pipe", "..%2fsecret", "pods%2f..%2f..%2fsecret"])
async def test_log_folder_of_the_machine_shows_nothing_from_outside(rig: Rig, tmp_path: Path, way: str) -> None:
    folder = tmp_path / "machine"
    (folder / "pods").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret\n")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "link-to-folder").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    agent: Agent = rig.node_agent  # type: ignore[attr-defined]
    agent.api._parts = replace(agent.api._parts, settings=replace(agent.api._parts.settings, machine_log_dir=folder))
    async with rig.http.get(URL(f"/logs/{way}", encoded=True)) as answer:  # type: ignore[attr-defined]
        assert answer.status == 403, await answer.text()


async def test_run_gives_the_output_of_a_command(rig: Rig) -> None:
    async with rig.http.post("/run/default/web/app", params={"cmd": "sh -c"}) as answer:  # type: ignore[attr-defined]
        assert answer.status == 200


async def test_followed_log_ends_with_the_container(rig: Rig) -> None:
    async with rig.http.get("/containerLogs/default/web/app?follow=true") as answer:  # type: ignore[attr-defined]
        assert await answer.content.readany() == b"hello\n"
        rig.engine.end("app", 0)
        assert await answer.content.read() == b""


class Denies:
    """Knows nobody without a header."""

    async def review(self, request: Request) -> None:
        if "authorization" not in request.headers:
            raise Unauthorized("Unauthorized")
        raise Forbidden("Forbidden (user=eve, verb=get, resource=nodes, subresource=proxy)")


async def test_reviewer_decides_before_anything_is_done(rig: Rig) -> None:
    agent: Agent = rig.node_agent  # type: ignore[attr-defined]
    agent.api._reviewer = Denies()
    assert (await get(rig, "/pods"))[0] == 401
    async with rig.http.get("/pods", headers={"authorization": "Bearer x"}) as answer:  # type: ignore[attr-defined]
        assert answer.status == 403


@pytest.mark.parametrize(
    ("path", "subresource"),
    [("/pods", "pods"), ("/logs/syslog", "log"), ("/metrics/resource", "metrics"), ("/stats/summary", "stats"), ("/exec/a/b/c", "proxy")],
)
def test_subresource_of_a_path(path: str, subresource: str) -> None:
    assert subresource_of(path) == subresource
