"""Certificates that end within a minute are renewed while everything runs: servers, clients, and no watch is dropped."""

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hostile_cluster import Victim, eventually

from wherry.assembly.address import node_address
from wherry.kit import atomic_file
from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import Server, serve
from wherry.orchestration.apiserver import pki
from wherry.orchestration.apiserver.pki.files import IDENTITIES
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.client.transport import Call

LEFT = timedelta(minutes=1)
YEAR = timedelta(days=365)


def ends_at(der: bytes) -> datetime:
    return x509.load_der_x509_certificate(der).not_valid_after_utc


def keys_near_their_end(folder: Path) -> pki.Authority:
    """The cluster's authorities are young; every leaf ends in a minute."""
    now = datetime.now(UTC)
    made = pki.ensure(folder, node_name="n", now=now - YEAR + LEFT)
    assert all(leaf_ends(made, who) <= now + LEFT for who in ("apiserver", "node"))
    return made


def leaf_ends(keys: pki.Authority, who: str) -> datetime:
    return x509.load_pem_x509_certificate(keys.leaf_file(who).read_bytes()).not_valid_after_utc


class Watched:
    """Answers with the end of the client's certificate; `/watch` says each of `words`."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(self, request: Request) -> Response:
        assert request.peer_certificate is not None
        if request.path == "/watch":
            return Response(200, [], self.stream())
        return Response(200, [], ends_at(request.peer_certificate).isoformat().encode())

    async def stream(self) -> AsyncIterator[bytes]:
        while True:
            yield await self.words.get()


async def served_until(server: Server, keys: pki.Authority) -> datetime:
    """When the certificate ends that a new connection is shown."""
    context = ssl.create_default_context(cafile=str(keys.ca_file))
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return ends_at(der)


async def test_server_and_client_take_up_new_certificates_and_the_watch_goes_on(tmp_path: Path) -> None:
    keys, watched = keys_near_their_end(tmp_path), Watched()
    tls, soon = keys.server_tls("apiserver"), datetime.now(UTC) + LEFT
    async with asyncio.timeout(20), serve(watched.answer, tls=tls) as server, contextlib.AsyncExitStack() as stack:
        leaf = str(keys.leaf_file("node"))
        client = HttpTransport(f"https://localhost:{server.port}", ca=str(keys.ca_file), cert=leaf, key=leaf)
        stack.push_async_callback(client.close)
        watch = await stack.enter_async_context(client.stream(Call("GET", "/watch")))
        words = aiter(watch.chunks)
        watched.words.put_nowait(b"before")
        assert await anext(words) == b"before"
        assert datetime.fromisoformat((await client.send(Call("GET", "/"))).body.decode()) <= soon
        assert await served_until(server, keys) <= soon

        uses = [("apiserver", tls.load_cert_chain), ("node", client.use_pair)]
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        renewing = tasks.create_task(pki.keep_renewed(
            lambda: pki.ensure(tmp_path, node_name="n", now=datetime.now(UTC)), uses))
        stack.callback(renewing.cancel)
        while await served_until(server, keys) <= soon:
            await asyncio.sleep(0)
        assert datetime.fromisoformat((await client.send(Call("GET", "/"))).body.decode()) > soon + YEAR / 2
        watched.words.put_nowait(b"after")
        assert await anext(words) == b"after"


@pytest.mark.node
@pytest.mark.cluster
def test_processes_that_start_with_a_minute_left_renew_and_go_on(attacked: Victim, tmp_path: Path) -> None:
    settings, now = attacked.settings, datetime.now(UTC)
    eventually(attacked.is_well, "all have started")
    shutil.copytree(settings.authority_dir, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.pem"))
    addresses = ("127.0.0.1", node_address(settings), settings.cluster.kubernetes_address)
    old = pki.ensure(tmp_path, names=(settings.node_name, "registry.wherry.local"), addresses=addresses,
                     node_name=settings.node_name, now=now - YEAR + LEFT)
    assert leaf_ends(old, "apiserver") <= now + LEFT
    for leaf in tmp_path.glob("*.pem"):
        folder = settings.identity_dir if leaf.stem in IDENTITIES else settings.authority_dir
        atomic_file.write(folder / leaf.name, leaf.read_bytes(), mode=0o600)
    for name in ("server", "agent", "gateway"):
        attacked.kill(name)
    eventually(attacked.is_well, "the cluster is well")
    found = replace(old, folder=settings.authority_dir, identities=settings.identity_dir)
    assert all(leaf_ends(found, who) > now + YEAR / 2 for who in ("apiserver", "node", "node-serving", "gateway", "admin"))
