"""Names and small rules of the streaming protocols: which streams a caller wants, which version both sides know.

In:    a request's query and headers.
Out:   `Wanted`, a chosen protocol name, refusals with upstream's words.
Spec:  k8s.io/apimachinery util/remotecommand (protocol names), util/httpstream (handshake), kubelet
       server streaming: query names input, output, error, tty; the API server's: stdin, stdout, stderr, tty.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wherry.kit.http import answering
from wherry.kit.http.message import Request, Response

SPDY = "SPDY/3.1"
VERSION_HEADER = "x-stream-protocol-version"
SPDY_COMMAND_VERSIONS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
WEBSOCKET_COMMAND_VERSIONS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", ""
)
PORT_FORWARD_VERSION = "portforward.k8s.io"
PORT_FORWARD_TUNNEL = "SPDY/3.1+portforward.k8s.io"
WEBSOCKET_PORT_VERSIONS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io", "")  # "": as upstream, binary channels
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})  # what Go's strconv.ParseBool takes


@dataclass(frozen=True, slots=True)
class Wanted:
    """The streams a caller asks for. With a tty there is no stderr of its own."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


def wanted(request: Request) -> Wanted | Response:
    """Read the query of exec or attach; a `Response` refuses it."""

    def asks(*names: str) -> bool:
        return any(request.param(name) in _TRUE for name in names)

    tty = asks("tty")
    found = Wanted(
        stdin=asks("stdin", "input"), stdout=asks("stdout", "output"),
        stderr=asks("stderr", "error") and not tty, tty=tty,
    )
    if not (found.stdin or found.stdout or found.stderr):
        return answering.plain(400, "you must specify at least 1 of stdin, stdout, stderr")
    return found


def asks_for_spdy(request: Request) -> bool:
    """Whether the request wants to switch to SPDY/3.1."""
    return request.headers.get("upgrade", "").lower() == SPDY.lower() and "upgrade" in request.headers.get(
        "connection", ""
    ).lower()


def choose(request: Request, known: Sequence[str], *, if_none: str) -> str | Response:
    """The first version of the client's list that is known; `if_none` when it names none; else a refusal (403)."""
    text = request.headers.get(VERSION_HEADER, "")
    offered = [part.strip() for part in text.split(",") if part.strip()]
    if not offered:
        return if_none
    chosen = next((version for version in offered if version in known), None)
    if chosen is not None:
        return chosen
    refusal = answering.plain(
        403, f"unable to upgrade: unable to negotiate protocol: client supports {offered}, server accepts {list(known)}"
    )
    refusal.headers.extend(("x-accepted-stream-protocol-versions", version) for version in known)
    return refusal


def switch_headers(version: str) -> list[tuple[str, str]]:
    """The head of the 101 that agrees to SPDY."""
    headers = [("connection", "Upgrade"), ("upgrade", SPDY)]
    if version:
        headers.append((VERSION_HEADER, version))
    return headers


NOT_AN_UPGRADE = "unable to upgrade: missing upgrade headers in request"
