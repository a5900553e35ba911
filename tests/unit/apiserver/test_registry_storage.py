"""What the store holds, and what a restart finds: sealed Secrets, kept revisions, given-out addresses."""

from pathlib import Path

import pytest

from wherry.kit.errors import Broken
from wherry.orchestration.apiserver.registry.codec import SEALED, Sealer, at_revision, encode, with_revision
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.store.memory import MemoryStore
from wherry.orchestration.store.sqlite import SqliteStore
from wherry.testing.api import api_server

KEY = bytes(range(32))
SECRETS = "/api/v1/namespaces/default/secrets"
SERVICES = "/api/v1/namespaces/default/services"


def test_the_revision_is_put_into_the_bytes() -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "3"},
           "data": {"k": '"metadata":{}'}}
    value = encode(obj)
    assert b"resourceVersion" not in value
    assert with_revision(value, 7).startswith(b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"7",')
    assert at_revision(with_revision(value, 7), 19) == with_revision(value, 19)


async def test_secrets_are_sealed_in_the_store_and_open_on_reading() -> None:
    store = MemoryStore()
    async with api_server(store=store, settings=ApiServerSettings(encryption_key=KEY)) as api:
        await api.call("POST", SECRETS, {"metadata": {"name": "s"}, "stringData": {"p": "hunter2"}})
        assert (await api.call("GET", f"{SECRETS}/s"))[1]["data"] == {"p": "aHVudGVyMg=="}
    entry = await store.get("/registry/core/secrets/default/s")
    assert entry is not None and entry.value.startswith(SEALED) and b"aHVudGVyMg" not in entry.value


def test_a_sealed_value_opens_only_under_its_key_and_name() -> None:
    sealer = Sealer(KEY, ("/registry/core/secrets/",))
    sealed = sealer.seal("/registry/core/secrets/a/b", b"value")
    assert sealer.open("/registry/core/secrets/a/b", sealed) == b"value"
    for other, name in ((Sealer(bytes(32), ("/",)), "a/b"), (sealer, "a/c"), (Sealer(), "a/b")):
        with pytest.raises(Broken):
            other.open(f"/registry/core/secrets/{name}", sealed)


async def test_a_restart_on_disk_changes_nothing(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    async with api_server(store=store) as api:
        _, made = await api.call("POST", SERVICES, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
        revision = await store.revision()
    await store.close()
    store = await SqliteStore.open(tmp_path / "state.db")
    async with api_server(store=store) as api:
        assert await store.revision() == revision  # bootstrap found everything in place
        assert (await api.call("GET", f"{SERVICES}/s"))[1] == made
        address = made["spec"]["clusterIP"]
        status, _ = await api.call("POST", SERVICES, {"metadata": {"name": "t"}, "spec": {
            "clusterIP": address, "ports": [{"port": 80}]}})
        assert status == 422
    await store.close()
