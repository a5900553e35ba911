"""Joining a cluster: what a machine is told, what it is refused, and what it never gets."""

import asyncio
import contextlib
import json
import shutil
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from wherry.assembly import certify, checks, process, rotation, settings, tokens
from wherry.assembly import join as joining
from wherry.assembly.authority import authority
from wherry.assembly.findings import Finding
from wherry.assembly.identity import Identity, client, identity
from wherry.assembly.node import SERVER, WORKER, NodeSettings
from wherry.assembly.shared import Process
from wherry.kit.clock import SystemClock
from wherry.kit.errors import AlreadyExists, Forbidden, Invalid, NotFound, Unavailable, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.http_transport import HttpTransport
from wherry.orchestration.objects.kinds import CONFIG_MAPS, NODES, SECRETS
from wherry.testing.ports import free_port


class Server:
    """A server's node: API server and controllers, without agent."""

    def __init__(self, folder: Path) -> None:
        self.node = NodeSettings(folder / "server", api_port=free_port(), node_address="127.0.0.1", roles=(SERVER,))
        self.keys = authority(self.node)
        file = str(self.keys.leaf_file("admin"))
        self.admin = Client(HttpTransport(self.node.api_url, ca=str(self.keys.ca_file), cert=file, key=file))
        self.api = f"127.0.0.1:{self.node.api_port}"

    async def token(self, life: timedelta = timedelta(hours=1)) -> joining.Token:
        return await tokens.create(self.admin, self.keys.ca_pem, datetime.now(UTC), life)

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.admin.get(CONFIG_MAPS, "wherry-cluster", "kube-system")
                except WherryError:
                    await asyncio.sleep(0.05)
                else:
                    return


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(process.run_components(made.node, "server"))
        await made.until_ready()
        yield made
        await made.admin.close()
        running.cancel()


@pytest.fixture
def data_dir(tmp_path: Path) -> AsyncIterator[Path]:  # type: ignore[misc]
    folder = tmp_path / "worker"
    yield folder
    shutil.rmtree(NodeSettings(folder).run_dir, ignore_errors=True)


async def test_a_machine_that_joins_has_its_identity_the_clusters_settings_and_no_signing_key(server: Server, data_dir: Path) -> None:
    made = await joining.join(data_dir, server.api, await server.token(), {"node_name": "w"})
    assert settings.load(data_dir) == made
    assert (made.roles, made.node_address, made.cluster) == ((WORKER,), "127.0.0.1", server.node.cluster)
    assert {file.name for file in made.identity_dir.iterdir()} == {"ca.crt", "node.pem", "node-serving.pem"}
    assert stat.S_IMODE(made.identity_dir.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in made.identity_dir.glob("*.pem")} == {0o600}
    own = identity(made, "node")
    x509.load_pem_x509_certificate(own.pair.read_bytes()).verify_directly_issued_by(server.keys.ca.certificate)
    as_node = client(own.transport(), "test")
    await as_node.create(NODES, {"metadata": {"name": "w"}})
    with pytest.raises(Forbidden):
        await as_node.create(NODES, {"metadata": {"name": "another"}})
    await as_node.close()


async def test_a_token_reads_the_clusters_settings_and_no_secret(server: Server) -> None:
    token = await server.token()
    bootstrap = Client(HttpTransport(server.node.api_url, ca=server.keys.ca_pem, token=token.bearer))
    found = await bootstrap.get(CONFIG_MAPS, "wherry-cluster", "kube-system")
    assert json.loads(found["data"]["cluster.json"])["service_cidr"] == "10.96.0.0/16"
    for resource, name in ((SECRETS, f"bootstrap-token-{token.id}"), (CONFIG_MAPS, "kube-root-ca.crt")):
        with pytest.raises(Forbidden):
            await bootstrap.get(resource, name, "kube-system")
    await bootstrap.close()


async def test_another_cluster_at_that_address_is_told_nothing(server: Server, data_dir: Path, tmp_path: Path) -> None:
    other = authority(NodeSettings(tmp_path / "other", node_address="127.0.0.1", roles=(SERVER,)))
    token = await server.token()
    pinned = joining.Token(token.id, token.secret, joining.pin(other.ca_pem))
    with pytest.raises(Forbidden, match="does not show the CA that the token names"):
        await joining.join(data_dir, server.api, pinned, {})
    assert not data_dir.exists()


async def test_a_token_that_has_ended_is_refused_and_removed(server: Server, data_dir: Path) -> None:
    token = await server.token(timedelta(seconds=-1))
    with pytest.raises(Forbidden, match="token is not accepted: it has ended, was deleted or is of another cluster"):
        await joining.join(data_dir, server.api, token, {})
    assert not settings.exists(data_dir)
    async with asyncio.timeout(30):
        while await tokens.listed(server.admin):
            await asyncio.sleep(0.05)


async def test_a_token_is_listed_and_deleted_without_its_secret(server: Server) -> None:
    token = await server.token()
    assert [token_id for token_id, _ in await tokens.listed(server.admin)] == [token.id]
    await tokens.delete(server.admin, token.id)
    assert await tokens.listed(server.admin) == []
    with pytest.raises(NotFound):
        await tokens.delete(server.admin, token.id)


async def test_the_name_of_a_node_that_is_ready_is_not_taken_over(server: Server, data_dir: Path) -> None:
    await server.admin.create(NODES, {"metadata": {"name": "w"}})
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]}
    await server.admin.patch_status(NODES, "w", "", {"status": status})
    with pytest.raises(AlreadyExists, match='a Node with name \'w\' and status "Ready" already exists in the cluster'):
        await joining.join(data_dir, server.api, await server.token(), {"node_name": "w"})
    assert not settings.exists(data_dir)


async def test_a_machine_that_reaches_others_by_the_clusters_ranges_is_refused(
    server: Server, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Finding("pod-cidr 10.244.0.0/16", False, "this machine reaches 10.244.7.0/24 through docker0", "choose another range")
    monkeypatch.setattr(checks, "ranges", lambda made: [taken])
    with pytest.raises(Invalid, match=r"lead elsewhere on this machine \(pod-cidr .* through docker0\): take those routes away"):
        await joining.join(data_dir, server.api, await server.token(), {"node_name": "w"})
    assert not settings.exists(data_dir)


async def test_a_join_that_was_cut_short_begins_anew_and_a_second_one_is_refused(server: Server, data_dir: Path) -> None:
    (data_dir / "identity").mkdir(parents=True)
    (data_dir / "identity" / "node.pem").write_text("half of it")
    await joining.join(data_dir, server.api, await server.token(), {"node_name": "w"})
    with pytest.raises(AlreadyExists, match="has a cluster: bring it back with wherry up"):
        await joining.join(data_dir, server.api, await server.token(), {"node_name": "w"})


async def test_a_node_renews_what_is_due_and_serves_with_what_the_cluster_signed(server: Server, data_dir: Path) -> None:
    made = await joining.join(data_dir, server.api, await server.token(), {"node_name": "w"})
    own, serving = identity(made, "node"), identity(made, "node-serving")
    first = own.pair.read_bytes()
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            await renewed(Process(made, "agent", tasks), own, serving, server)
            raise Done  # what the process started goes with the group
    assert own.pair.read_bytes() != first, "in the last fifth of its life it is renewed"
    x509.load_pem_x509_certificate(serving.pair.read_bytes()).verify_directly_issued_by(server.keys.ca.certificate)


class Done(Exception):
    """The test is over."""


class Later(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(days=300)


async def renewed(worker: Process, own: Identity, serving: Identity, server: Server) -> None:
    await worker.node_client.create(NODES, {"metadata": {"name": "w"}})
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": "w"}]
    await worker.node_client.patch_status(NODES, "w", "", {"status": {"addresses": addresses}})
    first = own.pair.read_bytes()
    next_s = await rotation.renew(worker)
    assert 0 < next_s <= rotation.LOOK_S_MAX
    assert own.pair.read_bytes() == first, "it is not due"
    worker.clock = Later()
    await rotation.renew(worker)
    await worker.node_client.close()


def test_a_printed_token_shows_no_secret() -> None:
    assert "b" * 16 not in repr(joining.Token("a" * 6, "b" * 16, "0" * 64))


def test_nobody_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no API server at 127\.0\.0\.1:1 .*; see that it runs"):
        asyncio.run(joining.join(tmp_path / "w", "127.0.0.1:1", joining.Token("a" * 6, "b" * 16, "0" * 64), {}))
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("text", ["", "abcdef.0123456789abcdef", "abcdef.0123456789abcdef.xyz", "ABCDEF.0123456789abcdef." + "0" * 64])
def test_a_token_of_another_form_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Invalid, match=r"--token: not of the form ID\.SECRET\.CAHASH; make one .* wherry token create") as refused:
        joining.parse(text)
    assert "0123456789" not in str(refused.value)


@pytest.mark.parametrize(("text", "expected"), [
    ("10.0.0.1", ("10.0.0.1", 6443)), ("10.0.0.1:7443", ("10.0.0.1", 7443)), ("https://api.example:6443/", ("api.example", 6443))])
def test_addresses_have_upstreams_port_by_default(text: str, expected: tuple[str, int]) -> None:
    assert joining.address_of(text) == expected


@pytest.mark.parametrize("text", ["", ":6443", "host:", "host:port", "host:99999"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no address of an API server; give HOST or HOST:PORT"):
        joining.address_of(text)


def test_an_unreadable_or_foreign_certificate_is_renewed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, keys = certify.Wanted("w"), authority(NodeSettings(tmp_path, node_name="w", node_address="127.0.0.1"))
    own = tmp_path / "identity" / "node.pem"
    assert certify.renew_at(own, wanted, keys.ca_pem) is not None
    assert certify.renew_at(own, certify.Wanted("x"), keys.ca_pem) is None, "of another node"
    certify.self_signed(wanted, own, datetime.now(UTC))
    assert certify.renew_at(own, wanted, keys.ca_pem) is None, "signed by itself"
    own.write_text("junk")
    assert certify.renew_at(own, wanted, keys.ca_pem) is None
