"""A pod's author points probes, hooks and the API's proxy at the machine's own loopback, by every spelling there is."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import serve
from wherry.orchestration.agent.pod.hooks import HookFailed, run_hook
from wherry.orchestration.agent.probes.check import Outcome, Target, check
from wherry.testing.api import api_server
from wherry.testing.fake_engine import FakeEngine

SPELLINGS = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "0.0.0.0", "::1", "::ffff:127.0.0.1", "127.8.9.10")
POD_ADDRESS = "10.244.0.9"


class Secret:
    """A server on the machine's loopback that counts who came."""

    def __init__(self) -> None:
        self.visits = 0
        self.port = 0

    async def answer(self, request: Request) -> Response:
        self.visits += 1
        return Response(200, [], b"secret")


@pytest.fixture
async def secret() -> AsyncIterator[Secret]:
    made = Secret()
    async with serve(made.answer) as server:
        made.port = server.port
        yield made


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
async def test_a_probe_does_not_reach_the_machines_loopback(secret: Secret, kind: str, host: str) -> None:
    found = await check({kind: {"host": host, "port": secret.port}}, Target("c", {}, POD_ADDRESS), FakeEngine(), timeout_s=2)
    assert (found.outcome, secret.visits) == (Outcome.FAILED, 0) and "only the node itself may reach" in found.text


async def test_a_probe_does_not_reach_link_local_services(secret: Secret) -> None:
    handler = {"httpGet": {"host": "169.254.169.254", "port": 80}}
    found = await check(handler, Target("c", {}, POD_ADDRESS), FakeEngine(), timeout_s=2)
    assert found.outcome is Outcome.FAILED and "only the node itself may reach" in found.text


async def test_a_hook_does_not_reach_the_machines_loopback(secret: Secret) -> None:
    with pytest.raises(HookFailed, match="only the node itself"):
        handler = {"httpGet": {"host": "localhost", "port": secret.port}}
        await run_hook(handler, Target("c", {}, POD_ADDRESS), FakeEngine(), timeout_s=2)
    assert secret.visits == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_pod_of_the_machines_network_is_probed_on_its_loopback(secret: Secret, host: str) -> None:
    target = Target("c", {}, "192.0.2.2", is_host_network=True)
    found = await check({"httpGet": {"host": host, "port": secret.port}}, target, FakeEngine(), timeout_s=2)
    assert (found.outcome, found.text) == (Outcome.PASSED, "secret")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_the_api_servers_proxy_does_not_follow_a_pods_status_to_loopback(secret: Secret, address: str) -> None:
    pod: dict[str, Any] = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    async with api_server() as api:
        _, made = await api.call("POST", "/api/v1/namespaces/default/pods", pod)
        made["status"] = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        await api.call("PUT", "/api/v1/namespaces/default/pods/p/status", made)
        status, body = await api.call("GET", f"/api/v1/namespaces/default/pods/p:{secret.port}/proxy/")
    assert (status, secret.visits) == (400, 0), body
