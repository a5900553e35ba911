"""Ask the machine's own resolvers for names that are not the cluster's, and remember what they said.

In:    a query as received.
Out:   the resolver's answer with our client's id, or None when none of them answered in time.
Spec:  RFC 1035 section 7, RFC 5452 (random ids and ports), RFC 7766 (TCP after truncation).
"""

import asyncio
import secrets
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from wherry.kit.clock import loop_time
from wherry.orchestration.dns.wire import TRUNCATED, Malformed, Query, aged, lifetimes

PORT = 53
TRY_S = 2.0  # per resolver
CACHE_S_MAX = 30  # as CoreDNS in a kubeadm cluster
CACHE_ENTRIES_MAX = 10_000
TCP_BYTES_MAX = 65535


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: bytes
    offsets: tuple[int, ...]
    since: float
    until: float


def resolvers(text: str, own: frozenset[str]) -> tuple[str, ...]:
    """IPv4 nameservers of a resolv.conf, without our own addresses (that would be a loop)."""
    found = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver") and len(line.split()) > 1]
    return tuple(address for address in found if ":" not in address and address not in own)


def machine_resolvers(own: frozenset[str], path: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """Those of this machine; none when the file is missing."""
    try:
        return resolvers(path.read_text(encoding="utf-8", errors="replace"), own)
    except OSError:
        return ()


class Forwarder:
    """Equal questions that come together are asked once."""

    def __init__(self, servers: tuple[str, ...], *, port: int = PORT) -> None:
        self._servers = servers
        self._port = port
        self._cache: OrderedDict[bytes, _Kept] = OrderedDict()
        self._asking: dict[bytes, asyncio.Future[bytes | None]] = {}

    def cached(self, query: Query) -> bytes | None:
        """What is remembered, with lifetimes aged."""
        kept = self._cache.get(query.question.lower())
        now = loop_time()
        if kept is None or kept.until <= now:
            return None
        return _addressed(aged(kept.answer, kept.offsets, int(now - kept.since)), query)

    async def ask(self, query: Query, message: bytes) -> bytes | None:
        """The answer, whole: truncated ones are asked for again over TCP."""
        key = query.question.lower()
        running = self._asking.get(key)
        if running is None:
            running = self._asking[key] = asyncio.get_running_loop().create_future()
            answer = None
            try:
                answer = await self._ask_each(message, query)
            finally:
                del self._asking[key]
                running.set_result(answer)
        else:
            answer = await asyncio.shield(running)
        return _addressed(answer, query) if answer else None

    async def _ask_each(self, message: bytes, query: Query) -> bytes | None:
        for server in self._servers:
            try:
                async with asyncio.timeout(TRY_S):
                    answer = await self._udp(server, message)
                    if struct.unpack_from("!H", answer, 2)[0] & TRUNCATED:
                        answer = await self._tcp(server, message)
                self._keep(query, answer)
                return answer
            except (OSError, TimeoutError, Malformed, asyncio.IncompleteReadError):
                continue  # the next one may know
        return None

    def _keep(self, query: Query, answer: bytes) -> None:
        found = lifetimes(answer)
        seconds = min(found.shortest_s, CACHE_S_MAX)
        if not seconds or answer[3] & 15 not in (0, 3):
            return
        now = loop_time()
        self._cache[query.question.lower()] = _Kept(answer, found.offsets, now, now + seconds)
        while len(self._cache) > CACHE_ENTRIES_MAX:
            self._cache.popitem(last=False)

    async def _udp(self, server: str, message: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        ident = secrets.token_bytes(2)
        transport, protocol = await loop.create_datagram_endpoint(
            lambda: _Exchange(ident, loop.create_future()), remote_addr=(server, self._port)
        )
        try:
            transport.sendto(ident + message[2:])
            return await protocol.answer
        finally:
            transport.close()

    async def _tcp(self, server: str, message: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port, limit=TCP_BYTES_MAX)
        try:
            writer.write(struct.pack("!H", len(message)) + message)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()


class _Exchange(asyncio.DatagramProtocol):
    """One question on one random port; answers with another id are not ours."""

    def __init__(self, ident: bytes, answer: asyncio.Future[bytes]) -> None:
        self._ident = ident
        self.answer = answer

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:2] == self._ident and len(data) >= 12 and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


def _addressed(answer: bytes, query: Query) -> bytes:
    """With the client's id and its spelling of the question."""
    end = 12 + len(query.question)
    if answer[12:end].lower() != query.question.lower():
        return struct.pack("!H", query.id) + answer[2:]
    return struct.pack("!H", query.id) + answer[2:12] + query.question + answer[end:]
