"""What the agent refuses reaches the client of pods/log as a Status, not as the agent's plain text."""

from collections.abc import AsyncIterator

import pytest

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver.subresources.nodes import REFUSAL_BYTES_MAX, refusal


async def parts(*texts: bytes) -> AsyncIterator[bytes]:
    for text in texts:
        yield text


@pytest.mark.parametrize(("status", "body", "code", "message"), [
    pytest.param(400, b'previous terminated container "main" in pod "one" not found\n', 400,
                 'previous terminated container "main" in pod "one" not found', id="bad request"),
    pytest.param(404, b"gone", 404, "the server could not find the requested resource (gone)", id="not found"),
    pytest.param(500, parts(b"no ", b"disk"), 500, "Internal error occurred: no disk", id="streamed text"),
    pytest.param(400, parts(b"x" * REFUSAL_BYTES_MAX, b"y" * 9), 400, "x" * REFUSAL_BYTES_MAX, id="endless text is cut"),
])
async def test_refusal_of_the_agent_becomes_a_status(
    status: int, body: bytes | AsyncIterator[bytes], code: int, message: str,
) -> None:
    error = await refusal(Response(status, [], body))
    assert (error.code, error.message) == (code, message)
