"""DNS answers a second of the cluster's DNS server on one core: names of 5,000 Services over UDP, 64 questions in flight.

Usage: python bench/dns_qps.py [--seconds 5] [--services 5000] [--small] [--record]
The server is a process pinned to one core; the questions come from this process on another one. Peer: CoreDNS cannot be had here.
"""

import asyncio
import os
import random
import select
import signal
import socket
import struct
import sys
import time

import figures
import uvloop

from wherry.orchestration.dns.forward import Forwarder
from wherry.orchestration.dns.records import records_for
from wherry.orchestration.dns.server import DnsServer
from wherry.orchestration.dns.wire import A, name_bytes
from wherry.orchestration.dns.zone import Zone
from wherry.testing.ports import free_port

IN_FLIGHT = 64
SILENCE_S = 2.0
HEADER = struct.Struct("!6H")


def zone(services: int) -> Zone:
    made = Zone("cluster.local", "10.96.0.10")
    for index in range(services):
        address = f"10.96.{index // 250}.{index % 250 + 1}"
        spec = {"clusterIP": address, "clusterIPs": [address], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
        service = {"metadata": {"name": f"s{index}", "namespace": "default"}, "spec": spec}
        made.replace(f"default/s{index}", records_for(service, [], "cluster.local"))
    return made


async def serve(port: int, services: int) -> None:
    """The server alone; says "ready" on stdout."""
    server = DnsServer(("127.0.0.1",), zone(services), Forwarder(()), port=port)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run())
        await server.ready.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()


def questions(services: int) -> list[bytes]:
    """Without the id, in an order that is the same every time."""
    order = random.Random(1).sample(range(services), services)
    names = [f"s{index}.default.svc.cluster.local" for index in order]
    return [HEADER.pack(0, 0x0100, 1, 0, 0, 0)[2:] + name_bytes(name) + struct.pack("!HH", A, 1) for name in names]


def ask(port: int, asked: list[bytes], seconds: float) -> float:
    """Answers a second. Leaves with a message when one is lost or has no address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.setblocking(False)
        began_at = time.perf_counter()
        sent = answered = 0
        until = began_at + seconds
        while time.perf_counter() < until or answered < sent:
            while sent - answered < IN_FLIGHT and time.perf_counter() < until:
                sock.send(struct.pack("!H", sent & 0xFFFF) + asked[sent % len(asked)])
                sent += 1
            if not select.select([sock], [], [], SILENCE_S)[0]:
                raise SystemExit(f"{sent - answered} of {sent} questions without an answer")
            answered += drain(sock)
        return answered / (time.perf_counter() - began_at)


def drain(sock: socket.socket) -> int:
    count = 0
    try:
        while True:
            answer = sock.recv(512)
            if HEADER.unpack_from(answer)[3] != 1:
                raise SystemExit(f"an answer without an address: {answer!r}")
            count += 1
    except BlockingIOError:
        return count


async def measure(options: figures.Options) -> figures.Figures:
    seconds, services = (0.3, 50) if options.small else (options.seconds, options.services)
    port = free_port()
    cores = sorted(os.sched_getaffinity(0))
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--serve", str(port), "--services", str(services), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        os.sched_setaffinity(process.pid, {cores[0]})
        os.sched_setaffinity(0, {cores[-1]})
        assert process.stdout is not None
        await process.stdout.readline()
        asked = questions(services)
        ask(port, asked, seconds / 5)
        return {"dns_answers": (ask(port, asked, seconds), "1/s")}
    finally:
        os.sched_setaffinity(0, cores)
        process.send_signal(signal.SIGKILL)
        await process.wait()


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--seconds", type=float, default=5)
    flags.add_argument("--services", type=int, default=5000)
    flags.add_argument("--serve", type=int, default=0, help="be the server on this port")
    given = flags.parse_args()
    if given.serve:
        uvloop.run(serve(given.serve, given.services))
    figures.run(flags, measure)
