"""What a server serves, read from its two discovery documents, and looked up again when it may have changed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from wherry.orchestration.client.discovery import Kinds, discover, read, replicas_of
from wherry.orchestration.objects.kinds import CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, PODS
from wherry.testing.api import TestApi, api_server
from wherry.testing.virtual_time import clock_here

pytestmark = pytest.mark.virtual_time
BOATS = {"resource": "boats", "scope": "Namespaced", "verbs": ["list", "delete"], "responseKind": {"kind": "Boat"},
         "subresources": [{"subresource": "scale"}]}
FLEETS = {"resource": "fleets", "scope": "Cluster", "verbs": ["list"], "responseKind": {"kind": "Fleet"}}
CRD = {"metadata": {"name": "boats.sea.dev"}, "spec": {
    "group": "sea.dev", "scope": "Namespaced", "names": {"plural": "boats", "kind": "Boat"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
        "type": "object", "properties": {"spec": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
                                         "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}}},
                  "subresources": {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}}]}}


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server(clock=clock_here()) as made:
        yield made


def test_each_resource_is_there_once_in_the_preferred_version() -> None:
    document = {"items": [{"metadata": {"name": "sea.dev"}, "versions": [
        {"version": "v2", "resources": [BOATS, FLEETS]}, {"version": "v1", "resources": [BOATS], "freshness": "Stale"}]}]}
    found = read([document])
    assert [(r.version, r.plural, r.namespaced, r.subresources) for r in found.resources] == [
        ("v2", "boats", True, ("scale",)), ("v2", "fleets", False, ())]
    assert found.stale == ("sea.dev/v1",)


async def test_the_built_in_resources_are_found_with_their_subresources(api: TestApi) -> None:
    found = await discover(api.client)
    pods, deployments = found.of_kind("", "Pod"), found.of_kind("apps", "Deployment")
    assert pods is not None and (pods.plural, pods.path("a", "b")) == (PODS.plural, PODS.path("a", "b"))
    assert deployments is not None and set(deployments.subresources) == set(DEPLOYMENTS.subresources)
    assert not found.stale


async def test_a_kind_that_comes_later_is_found(api: TestApi) -> None:
    kinds = Kinds(api.client)
    assert await kinds.find("sea.dev/v1", "Boat") is None
    await api.client.create(CUSTOM_RESOURCE_DEFINITIONS, CRD)
    async with asyncio.timeout(30):
        while (found := await kinds.find("sea.dev/v1", "Boat")) is None:
            await asyncio.sleep(0.5)
    assert "scale" in found.subresources
    boat = await api.client.create(found, {"metadata": {"name": "one"}, "spec": {"replicas": 3}}, "default")
    owner = {"apiVersion": "sea.dev/v1", "kind": "Boat", "name": "one", "uid": boat["metadata"]["uid"]}
    assert await replicas_of(api.client, found, owner, "default") == 3
    assert await replicas_of(api.client, found, {**owner, "uid": "another"}, "default") is None
    assert await replicas_of(api.client, found, {**owner, "name": "none"}, "default") is None
