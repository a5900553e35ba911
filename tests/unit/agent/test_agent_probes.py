"""Probes against real sockets, and their effect on the pod."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agent_rig import Rig, container, pod, rig_in

from wherry.container.runtime.engine import ExecResult
from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import serve
from wherry.orchestration.agent.probes.check import Outcome, Target, check
from wherry.orchestration.agent.probes.grpc_health import decode_status, encode_request
from wherry.orchestration.agent.probes.worker import ProbeSpec, Streak
from wherry.orchestration.objects.kinds import PODS
from wherry.orchestration.objects.meta import condition_of
from wherry.testing.fake_engine import FakeEngine


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def answer(request: Request) -> Response:
        match request.path:
            case "/ok":
                seen = request.headers.get("user-agent", "")
                return Response(200 if seen.startswith("kube-probe/") else 400, [], b"fine")
            case "/away":
                return Response(302, [("location", "http://example.invalid/")], b"")
            case "/here":
                return Response(302, [("location", "/ok")], b"")
            case "/slow":
                await asyncio.sleep(5)
        return Response(503, [], b"no")

    async with serve(answer) as server:
        yield server.port


async def probe(handler: dict[str, Any]) -> tuple[Outcome, str]:
    target = Target("c", container(ports=[{"name": "web", "containerPort": 9}]), "127.0.0.1")
    found = await check(handler, target, FakeEngine(), timeout_s=0.3)
    return found.outcome, found.text


@pytest.mark.parametrize(
    ("path", "outcome", "text"),
    [
        pytest.param("/ok", Outcome.PASSED, "fine", id="200"),
        pytest.param("/here", Outcome.PASSED, "fine", id="redirect to the same host"),
        pytest.param("/away", Outcome.PASSED, "Probe terminated redirects", id="redirect away"),
        pytest.param("/no", Outcome.FAILED, "HTTP probe failed with statuscode: 503", id="503"),
        pytest.param("/slow", Outcome.FAILED, "context deadline exceeded", id="too slow"),
    ],
)
@pytest.mark.slow
async def test_http(port: int, path: str, outcome: Outcome, text: str) -> None:
    found, said = await probe({"httpGet": {"port": port, "path": path}})
    assert found == outcome and text in said


async def test_tcp(port: int) -> None:
    assert (await probe({"tcpSocket": {"port": port}}))[0] == Outcome.PASSED
    outcome, text = await probe({"tcpSocket": {"port": 1}})
    assert outcome == Outcome.FAILED and "connection refused" in text


async def test_unknown_port_name_counts_for_nothing() -> None:
    assert (await probe({"tcpSocket": {"port": "nope"}}))[0] == Outcome.UNKNOWN


def test_grpc_messages() -> None:
    assert encode_request("") == b"" and encode_request("a") == b"\x0a\x01a"
    assert decode_status(b"\x08\x01") == 1 and decode_status(b"") == 0


def test_thresholds_count_results_in_a_row() -> None:
    streak = Streak(ProbeSpec.of({"failureThreshold": 2, "successThreshold": 2}))
    seen = [streak.note(o) for o in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.PASSED, Outcome.FAILED, Outcome.FAILED)]
    assert seen == [None, None, None, None, False]
    assert [streak.note(Outcome.PASSED), streak.note(Outcome.PASSED)] == [None, True]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_in(tmp_path) as rig:
        yield rig


def ready(rig: Rig) -> str:
    found = condition_of(rig.status().get("conditions"), "Ready")
    return str(found["status"]) if found else ""


@pytest.mark.virtual_time
async def test_pod_is_unready_until_its_probe_passes(rig: Rig) -> None:
    rig.engine.exec_results[("check",)] = ExecResult(1, b"not yet", b"")
    check_it = {"exec": {"command": ["check"]}, "periodSeconds": 1}
    async with rig.running():
        await rig.create(pod("web", container(readinessProbe=check_it)))
        await rig.phase("Running")
        await rig.until(lambda: ("Unhealthy", "Readiness probe failed: not yet") in rig.events())
        assert ready(rig) == "False"
        rig.engine.exec_results[("check",)] = ExecResult(0, b"", b"")
        await rig.until(lambda: ready(rig) == "True")


@pytest.mark.virtual_time
async def test_failing_liveness_restarts_the_container(rig: Rig) -> None:
    rig.engine.exec_results[("check",)] = ExecResult(1, b"dead", b"")
    check_it = {"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 1}
    async with rig.running():
        await rig.create(pod("web", container(livenessProbe=check_it)))
        await rig.until(lambda: rig.status().get("containerStatuses", [{}])[0].get("restartCount") == 1)
        assert ("Killing", "Container app failed liveness probe, will be restarted") in rig.events()


@pytest.mark.virtual_time
async def test_startup_probe_holds_readiness_back(rig: Rig) -> None:
    rig.engine.exec_results[("start",)] = ExecResult(1, b"", b"")
    startup = {"exec": {"command": ["start"]}, "periodSeconds": 1, "failureThreshold": 30}
    readiness = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    async with rig.running():
        await rig.create(pod("web", container(startupProbe=startup, readinessProbe=readiness)))
        await rig.until(lambda: ("exec", "start") in rig.engine.calls)
        assert ("exec", "true") not in rig.engine.calls
        assert rig.status()["containerStatuses"][0]["started"] is False
        rig.engine.exec_results[("start",)] = ExecResult(0, b"", b"")
        await rig.until(lambda: ready(rig) == "True")


@pytest.mark.virtual_time
async def test_hooks_run_and_a_failed_post_start_kills(rig: Rig) -> None:
    rig.engine.exec_results[("bad",)] = ExecResult(1, b"", b"boom")
    hooks = {"postStart": {"exec": {"command": ["bad"]}}}
    async with rig.running():
        await rig.create(pod("web", container(lifecycle=hooks), restartPolicy="Never"))
        await rig.phase("Failed")
        assert ("FailedPostStartHook", "PostStartHook failed: boom") in rig.events()


@pytest.mark.virtual_time
async def test_pre_stop_runs_before_the_stop_signal(rig: Rig) -> None:
    hooks = {"preStop": {"exec": {"command": ["bye"]}}}
    async with rig.running():
        await rig.create(pod("web", container(lifecycle=hooks)))
        await rig.phase("Running")
        await rig.client().delete(PODS, "web", "default")
        await rig.until(lambda: rig.pod() is None)
        calls = [c for c in rig.engine.calls if c[0] in ("exec", "stop_container")]
        assert calls == [("exec", "bye"), ("stop_container", "app")]


@pytest.mark.virtual_time
async def test_deletion_cuts_a_hanging_post_start_hook_short(rig: Rig) -> None:
    hooks = {"postStart": {"sleep": {"seconds": 3000}}}
    async with rig.running():
        await rig.create(pod("web", container(lifecycle=hooks), terminationGracePeriodSeconds=1))
        await rig.until(lambda: ("start_container", "app") in rig.engine.calls)
        await rig.client().delete(PODS, "web", "default")
        await rig.until(lambda: rig.pod() is None)


async def test_grpc_probe_asks_a_real_server() -> None:
    import grpc

    async def answer(request: bytes, context: Any) -> bytes:
        return b"\x08\x01" if request == b"\x0a\x02ok" else b"\x08\x02"

    handler = grpc.unary_unary_rpc_method_handler(answer)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert (await probe({"grpc": {"port": port, "service": "ok"}}))[0] == Outcome.PASSED
        outcome, text = await probe({"grpc": {"port": port, "service": "no"}})
        assert (outcome, text) == (Outcome.FAILED, "service unhealthy (responded with 2)")
    finally:
        await server.stop(0)
    assert (await probe({"grpc": {"port": 1}}))[0] == Outcome.FAILED
