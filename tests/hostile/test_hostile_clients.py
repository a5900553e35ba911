"""Clients that read nothing, speak slowly, say too much or talk nonsense: others are answered, memory stays bounded, nothing dies."""

import json
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hostile_cluster import MEBIBYTE, Victim, eventually
from scale import HOW_MUCH, LIMIT_S, count

from wherry.assembly import daemon
from wherry.kit.http.limits import Limits
from wherry.orchestration.apiserver.settings import ApiServerSettings

WATCHERS, SLOW, IDLE, NOISES = count(40, 1000), count(50, 500), count(200, 3000), count(2, 100)
CHANGES, CHANGE_BYTES = count(80, 300), 900_000  # more than any watcher may leave unread
ANSWER_S_MAX = 10.0  # of an ordinary request meanwhile, on a busy machine
MEMORY_PER_WATCHER = MEBIBYTE * 3 // 2  # TLS, and a piece of one change: as plain text and as cipher text
MEMORY_SHARED = 250 * MEBIBYTE  # the changes themselves: held once, whoever has not read them
ALPN_H2 = ["h2"]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)
CLIENT_HELLO = bytes.fromhex("16030100c2010000be0303") + bytes(64)  # begins like one; the rest never comes

pytestmark = [pytest.mark.node, pytest.mark.cluster, pytest.mark.timeout(LIMIT_S)]


class Attackers:
    """Handle of a running attackers.py."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def still_open(self) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def attackers(kind: str, number: int, on: Victim, port: int, *, plain: bool = False) -> Iterator[Attackers]:
    pki = on.settings.authority_dir
    files = [] if plain else [str(pki / "ca.crt"), str(pki / "admin.pem")]
    argv = [sys.executable, str(Path(__file__).with_name("attackers.py")), kind, str(number), "127.0.0.1", str(port), *files]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield Attackers(process)
        finally:
            process.kill()


def answers(on: Victim) -> None:
    """An ordinary client's write and read are answered."""
    began = time.monotonic()
    on.kubectl("create", "configmap", "ordinary")
    on.kubectl("delete", "configmap", "ordinary")
    assert time.monotonic() - began < ANSWER_S_MAX


def test_watchers_that_never_read_cost_a_bounded_memory_and_nobody_else_anything(attacked: Victim) -> None:
    answers(attacked)
    before = attacked.memory_bytes("server")
    name = "/api/v1/namespaces/default/configmaps/flood"
    attacked.kubectl("create", "configmap", "flood")
    with attackers("watchers", WATCHERS, attacked, attacked.settings.api_port) as slow:
        for number in range(CHANGES):
            text = random.Random(number).randbytes(CHANGE_BYTES // 2).hex()
            put(attacked, name, {"metadata": {"name": "flood"}, "data": {"a": text}})
        answers(attacked)
        grown = attacked.memory_bytes("server") - before
        print(f"slow watchers: {WATCHERS}, unread each: {CHANGES * CHANGE_BYTES >> 20} MiB, server grew by {grown >> 20} MiB")
        assert grown < MEMORY_SHARED + WATCHERS * MEMORY_PER_WATCHER
        if HOW_MUCH == "whole":
            eventually(lambda: slow.still_open() == 0, "the slow ones are cut off", limit_s=2 * ApiServerSettings().watch_stall_s)
    attacked.kubectl("delete", "configmap", "flood")
    answers(attacked)


def put(on: Victim, path: str, body: object) -> None:
    daemon_tls = daemon.tls_context(on.settings)
    status = talk(on.settings.api_port, f"PUT {path}", json.dumps(body).encode(), daemon_tls)
    assert status == 200, status


def talk(port: int, line: str, body: bytes, tls: ssl.SSLContext | None, *, head: bytes = b"", length: int = -1) -> int:
    """The status of one request; 0 when the connection ended without an answer."""
    size = len(body) if length < 0 else length
    words = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {size}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        dialled = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        try:
            dialled.sendall(words.encode() + head + b"\r\n" + body)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass  # it may answer before it has read all
        try:
            said = dialled.recv(4096)
        except (OSError, ssl.SSLError):
            return 0
        return int(said.split()[1]) if said.startswith(b"HTTP/1.1 ") else 0


def test_connections_that_say_nothing_or_little_keep_nobody_from_being_served(attacked: Victim) -> None:
    before = attacked.pids()
    port = attacked.settings.api_port
    with attackers("idle", IDLE, attacked, port), attackers("idle", IDLE, attacked, attacked.settings.node_port, plain=True), \
            attackers("heads", SLOW, attacked, port) as heads, attackers("bodies", SLOW, attacked, port) as bodies:
        answers(attacked)
        assert bodies.still_open() == SLOW, "a slow body is not a wrong one"
        if HOW_MUCH != "quick":  # the unit tests of the front have it within moments, with shorter limits
            eventually(lambda: heads.still_open() == 0, "slow heads are cut off", limit_s=3 * Limits().head_timeout_s)
            answers(attacked)
    assert attacked.pids() == before


@pytest.mark.parametrize("where", ["api_port", "node_port", "registry_port"])
def test_what_is_too_large_is_refused_before_it_is_read(attacked: Victim, where: str) -> None:
    port, tls = getattr(attacked.settings, where), daemon.tls_context(attacked.settings)
    assert talk(port, "GET /", b"", tls, head=b"A: " + b"x" * (1 << 20) + b"\r\n") in (431, 0)
    assert talk(port, "GET /", b"", tls, head=b"".join(b"A%d: x\r\n" % n for n in range(2000))) in (431, 0)
    if where == "api_port":
        path = "POST /api/v1/namespaces/default/configmaps"
        assert talk(port, path, b"{", tls, length=1 << 40) == 413
    answers(attacked)


def noises(chance: random.Random) -> Iterator[bytes]:
    yield chance.randbytes(chance.randrange(1, 5000))
    yield CLIENT_HELLO
    yield PREFACE
    yield bytes(chance.randrange(1, 100_000))
    yield b"GET / HTTP/1.1\r\n" + chance.randbytes(200) + b"\r\n\r\n"
    yield b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nffffffffffffffff\r\n"
    yield b"GET http://[::1 HTTP/1.1\r\nHost: \0\r\n\r\n"


def shout(port: int, noise: bytes, tls: ssl.SSLContext | None) -> None:
    """Say it, and hear whatever comes for a moment; what is refused is refused."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as plain:
            dialled = tls.wrap_socket(plain) if tls else plain
            dialled.sendall(noise)
            dialled.recv(4096)
    except (OSError, ssl.SSLError):
        pass


def any_tls(alpn: list[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def test_garbage_on_every_port_ends_no_process(attacked: Victim) -> None:
    before, chance, said = attacked.pids(), random.Random(), 0
    settings = attacked.settings
    ports = [settings.api_port, settings.node_port, settings.registry_port, settings.gateway_http_port, settings.gateway_https_port]
    eventually(lambda: bool(envoys(attacked)), "Envoy runs", limit_s=120)
    envoy = envoys(attacked)
    for _ in range(NOISES):
        for port in ports:
            for noise in noises(chance):
                for tls in (None, any_tls([]), any_tls(ALPN_H2)):
                    shout(port, noise, tls)
                    said += 1
    print(f"garbage: {said} times on {len(ports)} ports")
    answers(attacked)
    assert attacked.is_well()
    assert attacked.pids() == before, "no process was restarted"
    assert envoys(attacked) == envoy


def envoys(on: Victim) -> str:
    """The ids of the gateway's containers."""
    return on.kubectl("get", "pods", "-n", "wherry-system", "-o", "jsonpath={.items[*].status.containerStatuses[*].containerID}")
