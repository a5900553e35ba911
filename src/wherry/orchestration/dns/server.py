"""Answer DNS on UDP and TCP: the zone at once, from prebuilt bytes; other names through the machine's resolvers.

In:    addresses to listen on, a `Zone`, a `Forwarder`.
Out:   answers. Malformed queries get FORMERR or silence, never an exception.
Spec:  RFC 1035, RFC 7766. Answers with several addresses are rotated from query to query.
"""

import asyncio
import logging
import struct
from collections.abc import Sequence

from wherry.kit.supervise import attempt
from wherry.orchestration.dns.forward import Forwarder
from wherry.orchestration.dns.wire import (
    FORMERR,
    NOTIMP,
    SERVFAIL,
    A,
    Malformed,
    Query,
    Record,
    fitted,
    name_bytes,
    read_query,
    refusal,
    write_answer,
)
from wherry.orchestration.dns.zone import Found, Zone

log = logging.getLogger(__name__)

PORT = 53
FORWARDS_AT_ONCE = 1000
PREBUILT_MAX = 10_000
ROTATIONS_MAX = 8
TCP_IDLE_S = 10.0
IN_FLIGHT_TCP_MAX = 256


class DnsServer:
    """`run` until cancelled. `zone_changed()` after each change of the zone."""

    def __init__(self, addresses: Sequence[str], zone: Zone, forwarder: Forwarder, *, port: int = PORT) -> None:
        self._addresses = addresses
        self._zone = zone
        self._forwarder = forwarder
        self._port = port
        self._prebuilt: dict[bytes, list[bytes]] = {}  # question, size and edns -> answers without id and flags
        self._turn = 0
        self._forwards = 0
        self._connections = 0
        self.ready = asyncio.Event()

    def zone_changed(self) -> None:
        """Forget the answers made from the old zone."""
        self._prebuilt.clear()

    async def run(self) -> None:
        """Listen on every address until cancelled. Raises `OSError` when one cannot be bound."""
        loop = asyncio.get_running_loop()
        transports: list[asyncio.DatagramTransport] = []
        servers: list[asyncio.Server] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                for address in self._addresses:
                    transport, _ = await loop.create_datagram_endpoint(
                        lambda: _Udp(self, tasks), local_addr=(address, self._port)
                    )
                    transports.append(transport)
                    servers.append(await asyncio.start_server(self._serve_tcp, address, self._port, reuse_address=True))
                self.ready.set()
                await asyncio.Event().wait()
        finally:
            for transport in transports:
                transport.close()
            for server in servers:
                server.close()

    def answer_now(self, message: bytes) -> bytes | Query | None:
        """The answer; or the query when somebody else must be asked; or None for what deserves none."""
        try:
            query = read_query(message)
        except Malformed:
            return refusal(message, FORMERR) if len(message) >= 12 and not message[2] & 0x80 else None
        if query.opcode:
            return write_answer(query, NOTIMP, authoritative=False)
        key = query.question + (b"e" if query.has_edns else b"")
        ready = self._prebuilt.get(key)
        if ready is None:
            if not self._zone.is_ours(query.name):
                return query
            found = self._zone.find(query.name, query.kind)
            if found.leads_outside:
                return query
            ready = self._build(query, found)
            if len(self._prebuilt) < PREBUILT_MAX:
                self._prebuilt[key] = ready
        self._turn += 1
        built = ready[self._turn % len(ready)]
        # Only the recursion-desired bit of a query may differ between equal questions.
        return message[:2] + bytes(((built[0] & 0xFE) | (message[2] & 1),)) + built[1:]

    def _build(self, query: Query, found: Found) -> list[bytes]:
        addresses = [record for record in found.answers if record.kind == A]
        others = [record for record in found.answers if record.kind != A]
        turns = range(min(len(addresses), ROTATIONS_MAX)) if len(addresses) > 1 else range(1)
        return [
            write_answer(query, found.code, (*others, *addresses[t:], *addresses[:t]), found.authority, found.additional)[2:]
            for t in turns
        ]

    async def answer_later(self, query: Query, message: bytes) -> bytes:
        """Through the resolvers; SERVFAIL when none answers."""
        if self._zone.is_ours(query.name):
            return await self._answer_outside(query)
        known = self._forwarder.cached(query)
        if known is not None:
            return known
        if self._forwards >= FORWARDS_AT_ONCE:
            return write_answer(query, SERVFAIL, authoritative=False)
        self._forwards += 1
        try:
            answer = await self._forwarder.ask(query, message)
        finally:
            self._forwards -= 1
        return answer or write_answer(query, SERVFAIL, authoritative=False)

    async def _answer_outside(self, query: Query) -> bytes:
        """An ExternalName: our CNAME, and what the resolvers say of its target."""
        found = self._zone.find(query.name, query.kind)
        question = name_bytes(found.leads_outside) + query.question[-4:]
        message = struct.pack("!6H", query.id, 0x0100, 1, 0, 0, 0) + question
        asked = read_query(message)
        answer = self._forwarder.cached(asked) or await self._forwarder.ask(asked, message)
        addresses = _addresses(answer, found.leads_outside) if answer else ()
        return write_answer(query, found.code, (*found.answers, *addresses))

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= IN_FLIGHT_TCP_MAX:
            writer.close()
            return
        self._connections += 1
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE_S):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    message = await reader.readexactly(length)
                answer = self.answer_now(message)
                if isinstance(answer, Query):
                    answer = await self.answer_later(answer, message)
                if answer is None:
                    return
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return
        finally:
            self._connections -= 1
            writer.close()


def _addresses(answer: bytes, name: str) -> tuple[Record, ...]:
    """The A records of a foreign answer, under the name that was asked for."""
    found: list[Record] = []
    at = 12
    while at < len(answer):  # a record: 2 bytes of pointer or a name, then type, class, ttl, length
        start = answer.find(b"\x00\x01\x00\x01", at)
        if start < 0 or start + 14 > len(answer):
            break
        if answer[start + 8 : start + 10] == b"\x00\x04":
            ttl = min(int.from_bytes(answer[start + 4 : start + 8], "big"), 30)
            found.append(Record(name, A, ttl, answer[start + 10 : start + 14]))
            at = start + 14
        else:
            at = start + 4
    return tuple(found)


class _Udp(asyncio.DatagramProtocol):
    """One socket."""

    def __init__(self, server: DnsServer, tasks: asyncio.TaskGroup) -> None:
        self._server = server
        self._tasks = tasks
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        answer = self._server.answer_now(data)
        if isinstance(answer, bytes):
            if len(answer) > 512:
                query = read_query(data)
                answer = fitted(query, answer)
            self._transport.sendto(answer, addr)
        elif answer is not None:
            self._tasks.create_task(attempt("dns forward", self._later(answer, data, addr)), name="dns forward")

    async def _later(self, query: Query, data: bytes, addr: tuple[str, int]) -> None:
        answer = fitted(query, await self._server.answer_later(query, data))
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, addr)
