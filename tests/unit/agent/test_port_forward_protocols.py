"""Which WebSocket clients a port-forward agrees with."""

import pytest

from wherry.kit.http import websocket
from wherry.kit.http.message import Request, Upgrade
from wherry.orchestration.agent.streaming.protocols import WEBSOCKET_PORT_VERSIONS


async def _serve(socket: websocket.WebSocket) -> None:
    await socket.close()


@pytest.mark.parametrize(("offered", "is_taken"), [
    pytest.param("", True, id="none, as kr8s"), pytest.param("v4.channel.k8s.io", True, id="v4"),
    pytest.param("v9.channel.k8s.io", False, id="an unknown one"),
])
def test_a_port_forward_agrees_with_a_client_that_offers(offered: str, is_taken: bool) -> None:
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
               "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    headers |= {"sec-websocket-protocol": offered} if offered else {}
    request = Request("GET", "/portForward/ns/pod", "/portForward/ns/pod?port=80", headers=headers)
    assert isinstance(websocket.accept(request, WEBSOCKET_PORT_VERSIONS, _serve), Upgrade) is is_taken
