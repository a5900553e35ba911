"""The DNS server on real sockets: UDP, TCP, truncation, a resolver behind it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wherry.orchestration.dns.forward import Forwarder
from wherry.orchestration.dns.records import records_for
from wherry.orchestration.dns.server import DnsServer
from wherry.orchestration.dns.wire import A, Record, name_bytes, read_query, write_answer
from wherry.orchestration.dns.zone import Zone
from wherry.testing.ports import free_port


def query(name: str) -> bytes:
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + name_bytes(name) + struct.pack("!HH", A, 1)


@asynccontextmanager
async def running(forwarder: Forwarder, endpoints: int = 1) -> AsyncIterator[int]:
    zone = Zone("cluster.local", "10.96.0.10")
    headless = {"metadata": {"name": "db", "namespace": "d"}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}
    addresses = [{"addresses": [f"10.244.{i // 200}.{i % 200}"]} for i in range(endpoints)]
    zone.replace("d/db", records_for(headless, [{"addressType": "IPv4", "endpoints": addresses}], "cluster.local"))
    port = free_port()
    server = DnsServer(("127.0.0.1",), zone, forwarder, port=port)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(server.run())
        await server.ready.wait()
        yield port
        task.cancel()


async def ask_udp(port: int, message: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))
        await loop.sock_sendall(sock, message)
        async with asyncio.timeout(5):
            return await loop.sock_recv(sock, 4096)


async def test_an_answer_too_long_for_a_datagram_is_whole_over_tcp() -> None:
    async with running(Forwarder(()), endpoints=100) as port:
        short = await ask_udp(port, query("db.d.svc.cluster.local"))
        assert short[2] & 2 and struct.unpack_from("!H", short, 6) == (0,)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        message = query("db.d.svc.cluster.local")
        writer.write(struct.pack("!H", len(message)) + message)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        whole = await reader.readexactly(length)
        writer.close()
        assert struct.unpack_from("!H", whole, 6) == (100,)


async def test_an_outside_name_is_asked_once_and_then_remembered() -> None:
    asked: list[bytes] = []

    class Resolver(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            asked.append(data)
            answer = write_answer(read_query(data), 0, (Record("", A, 60, b"\xc0\x00\x02\x07"),), authoritative=False)
            self.transport.sendto(answer, addr)  # type: ignore[attr-defined]

    upstream = free_port()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Resolver, local_addr=("127.0.0.1", upstream))
    try:
        async with running(Forwarder(("127.0.0.1",), port=upstream)) as port:
            for _ in range(3):
                answer = await ask_udp(port, query("example.com"))
                assert answer[:2] == b"\x00\x07" and answer.endswith(b"\xc0\x00\x02\x07")
        assert len(asked) == 1
    finally:
        transport.close()


async def test_a_dead_resolver_gives_servfail_not_silence() -> None:
    async with running(Forwarder(("127.0.0.1",), port=free_port())) as port:
        assert (await ask_udp(port, query("example.com")))[3] & 15 == 2
