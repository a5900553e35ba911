"""Which writes may use the disk space that is kept aside: what deletions need, and nothing a tenant could fill it with."""

from collections.abc import AsyncIterator

import pytest

from wherry.orchestration.objects.kinds import CONFIG_MAPS, LEASES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.memory import MemoryStore
from wherry.testing.api import TestApi, api_server


class Noting(MemoryStore):
    """Remembers of every key whether its last write may use the reserve."""

    def __init__(self) -> None:
        super().__init__()
        self.may: dict[str, bool] = {}

    async def put(self, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
        self.may[key.rpartition("/")[2]] = frees
        return await super().put(key, value, expected=expected, frees=frees)


@pytest.fixture
async def space() -> AsyncIterator[tuple[TestApi, Noting]]:
    store = Noting()
    async with api_server(store=store) as api:
        yield api, store


def lease(name: str, holder: str = "a") -> Object:
    return {"metadata": {"name": name}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}}


async def test_the_steps_of_a_deletion_use_it_unless_they_grow(space: tuple[TestApi, Noting]) -> None:
    api, store = space
    made = await api.client.create(CONFIG_MAPS, {"metadata": {"name": "c", "finalizers": ["a.b/c", "a.b/d"]}}, "default")
    made = await api.client.update(CONFIG_MAPS, {**made, "data": {"a": "b"}})
    assert store.may["c"] is False
    await api.client.delete(CONFIG_MAPS, "c", "default")
    assert store.may["c"] is True
    made = await api.client.get(CONFIG_MAPS, "c", "default")
    made["metadata"]["finalizers"] = ["a.b/c"]
    made = await api.client.update(CONFIG_MAPS, made)
    assert store.may["c"] is True
    await api.client.update(CONFIG_MAPS, {**made, "data": {"a": "b" * 5000}})
    assert store.may["c"] is False


@pytest.mark.parametrize("namespace", ["kube-system", "kube-node-lease"])
async def test_leases_of_the_cluster_are_renewed_on_a_full_disk(space: tuple[TestApi, Noting], namespace: str) -> None:
    api, store = space
    made = await api.client.create(LEASES, lease("held"), namespace)
    assert store.may["held"] is False, "a new one needs room"
    made = await api.client.update(LEASES, {**made, "spec": {**made["spec"], "holderIdentity": "b"}})
    assert store.may["held"] is True
    made["metadata"]["annotations"] = {"a": "b" * 5000}
    await api.client.update(LEASES, made)
    assert store.may["held"] is False


async def test_leases_of_a_tenant_are_not(space: tuple[TestApi, Noting]) -> None:
    api, store = space
    made = await api.client.create(LEASES, lease("kube-system"), "default")
    await api.client.update(LEASES, {**made, "spec": {**made["spec"], "holderIdentity": "b"}})
    assert store.may["kube-system"] is False
