"""Serve HTTP/1.1 on a port or a UNIX socket, with or without TLS.

In:    a `Handler` (message.py), an address, `Limits`.
Out:   `async with serve(handler, port=0) as server: server.port`. Leaving the block stops accepting, lets answers under
       way finish for `limits.close_grace_s`, then cuts the rest and cancels their handlers.
Spec:  RFC 9112. HTTP/2 is not offered: ALPN says http/1.1.
Never: chooses the event loop. uvloop makes it about three times as fast as plain asyncio.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from wherry.kit.http.limits import Limits
from wherry.kit.http.message import Handler
from wherry.kit.http.protocol import Home, HttpConnection

BACKLOG = 1024
IP_FREEBIND = 15  # linux/in.h; Python has no name for it
SWEEP_S_MAX = 5.0  # limits in seconds are kept to this precision


class Server:
    """A listening HTTP server; see `serve`."""

    def __init__(
        self, handler: Handler, *, host: str | Sequence[str], port: int, tls: ssl.SSLContext | None,
        sock: socket.socket | None, unix_path: str | os.PathLike[str] | None, limits: Limits,
    ) -> None:
        self._handler = handler
        self._hosts = (host,) if isinstance(host, str) else tuple(host)
        self._tls = tls
        self._sock = sock
        self._unix_path = Path(unix_path) if unix_path is not None else None
        self._limits = limits
        self._listeners: list[asyncio.Server] = []
        self._tasks = asyncio.TaskGroup()
        self._sweeper: asyncio.Task[None] | None = None
        self._home: Home | None = None
        self.port = port

    async def __aenter__(self) -> "Server":
        await self._tasks.__aenter__()
        self._home = Home(self._handler, self._limits, self._tasks)
        try:
            await self._listen(self._home)
        except OSError:
            for listener in self._listeners:
                listener.close()
            await self._tasks.__aexit__(None, None, None)
            raise
        self._sweeper = self._tasks.create_task(self._sweep(self._home), name="http deadlines")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        finally:
            # The block's own error is not passed on: a task group would wrap it.
            await self._tasks.__aexit__(None, None, None)

    @property
    def connection_count(self) -> int:
        """Open connections, upgraded ones included."""
        return len(self._home.connections) if self._home is not None else 0

    async def close(self) -> None:
        """Stop accepting, finish what is under way within the grace time, cut the rest. Idempotent."""
        home = self._home
        if home is None or home.is_closing:
            return
        home.is_closing = True
        for listener in self._listeners:
            listener.close()
        if self._unix_path is not None:
            self._unix_path.unlink(missing_ok=True)
        try:
            for connection in list(home.connections):
                connection.begin_close()
            await _wait_until_empty(home, self._limits.close_grace_s)
        finally:
            for connection in list(home.connections):
                connection.cut()
            if self._sweeper is not None:
                self._sweeper.cancel()
        await _wait_until_empty(home, self._limits.close_grace_s)

    async def _listen(self, home: Home) -> None:
        loop = asyncio.get_running_loop()
        handshake_s = closing_s = None
        if self._tls is not None:
            self._tls.set_alpn_protocols(["http/1.1"])
            handshake_s, closing_s = self._limits.tls_handshake_s, self._limits.linger_s

        def connection() -> HttpConnection:
            return HttpConnection(home)

        if self._unix_path is not None:
            listening = _bind_unix(self._unix_path)
            self._listeners.append(await loop.create_unix_server(
                connection, sock=listening, backlog=BACKLOG, ssl=self._tls,
                ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=closing_s,
            ))
            return
        for host in dict.fromkeys(self._hosts):
            listening = self._sock or await _bind_tcp(host, self.port, is_early=len(self._hosts) > 1)
            self.port = listening.getsockname()[1]  # the further addresses have the first one's
            self._listeners.append(await loop.create_server(
                connection, sock=listening, backlog=BACKLOG, ssl=self._tls,
                ssl_handshake_timeout=handshake_s, ssl_shutdown_timeout=closing_s,
            ))

    async def _sweep(self, home: Home) -> None:
        limits = self._limits
        shortest_s = min(limits.head_timeout_s, limits.idle_timeout_s, limits.body_stall_s)
        interval_s = min(SWEEP_S_MAX, shortest_s / 4)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(interval_s)
            now = loop.time()
            for connection in list(home.connections):
                connection.check_deadline(now)


def serve(
    handler: Handler,
    *,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    sock: socket.socket | None = None,
    unix_path: str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
) -> Server:
    """An async context manager that listens while its block runs.

    Of several addresses in `host` one may come up later. `port` 0 takes a free one (`server.port`). `sock` is a bound TCP
    socket to take over; `unix_path` is replaced if a stale socket lies there, made with mode 0600 and removed at the end.
    Client certificates: set `verify_mode` and the client CA on `tls`; requests then carry `peer_certificate`. Raises
    `OSError` when the address is taken.
    """
    return Server(
        handler, host=host, port=port, tls=tls, sock=sock, unix_path=unix_path, limits=limits or Limits()
    )


def _bind_unix(path: Path) -> socket.socket:
    if path.is_socket():
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        path.chmod(0o600)  # before listen(): nobody can connect in between
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


async def _bind_tcp(host: str, port: int, *, is_early: bool) -> socket.socket:
    """A bound socket: IPv6 wildcard also takes IPv4; SO_REUSEADDR so that a restart need not wait for TIME_WAIT.

    `is_early`: the address need not be on a link yet (ip(7), IP_FREEBIND).
    """
    infos = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, address = infos[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        elif is_early:
            listening.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        listening.bind(address)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


async def _wait_until_empty(home: Home, limit_s: float) -> None:
    if not home.connections:
        return
    home.all_gone = asyncio.get_running_loop().create_future()
    try:
        async with asyncio.timeout(limit_s):
            await home.all_gone
    except TimeoutError:
        return
