"""What every namespace gets, and how one goes; against the real API server."""

from functools import partial

from wherry.orchestration.apiserver.user import ADMIN
from wherry.orchestration.controllers.namespace.conditions import Progress, conditions_of
from wherry.orchestration.controllers.namespace.loop import Controller as Namespaces
from wherry.orchestration.controllers.root_ca.loop import Controller as RootCa
from wherry.orchestration.controllers.service_account.loop import Controller as ServiceAccounts
from wherry.orchestration.objects.kinds import (
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
)
from wherry.orchestration.objects.meta import condition_of
from wherry.orchestration.objects.resources import Resource
from wherry.testing.control_plane import ControlPlane, control_plane
from wherry.testing.virtual_time import EPOCH

CA = partial(RootCa, root_ca="PEM")


async def test_new_namespace_gets_account_and_bundle_and_gets_them_back():
    async with control_plane(ServiceAccounts, CA) as on:
        await on.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await on.until(lambda: on.find(SERVICE_ACCOUNTS, "default", "shop"))
        bundle = await on.until(lambda: on.find(CONFIG_MAPS, "kube-root-ca.crt", "shop"))
        assert bundle["data"] == {"ca.crt": "PEM"}
        await on.client.delete(SERVICE_ACCOUNTS, "default", "shop")
        await on.client.patch(CONFIG_MAPS, "kube-root-ca.crt", "shop", {"data": {"ca.crt": "forged"}})
        await on.until(lambda: on.find(SERVICE_ACCOUNTS, "default", "shop"))

        async def mended() -> bool:
            found = await on.find(CONFIG_MAPS, "kube-root-ca.crt", "shop")
            return found is not None and found["data"] == {"ca.crt": "PEM"}

        await on.until(mended)


async def gone(on: ControlPlane, name: str) -> None:
    async def is_gone() -> bool:
        return await on.find(NAMESPACES, name) is None

    await on.until(is_gone)


async def test_deleted_namespace_goes_with_its_content_and_nothing_comes_back():
    async with control_plane(ServiceAccounts, CA, Namespaces) as on:
        await on.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await on.until(lambda: on.find(CONFIG_MAPS, "kube-root-ca.crt", "shop"))
        await on.client.create(CONFIG_MAPS, {"metadata": {"name": "settings"}}, "shop")
        await on.client.delete(NAMESPACES, "shop")
        await gone(on, "shop")
        assert not await on.all(CONFIG_MAPS, "shop")
        assert not await on.all(SERVICE_ACCOUNTS, "shop")


async def test_custom_resources_go_too():
    boats = Resource("sea.dev", "v1", "Boat", "boats", "boat", True)
    definition = {
        "metadata": {"name": "boats.sea.dev"},
        "spec": {
            "group": "sea.dev", "scope": "Namespaced",
            "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
        },
    }  # fmt: skip
    async with control_plane(Namespaces) as on:
        await on.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition)

        async def served() -> bool:
            status, _ = await on.api.call("GET", "/apis/sea.dev/v1/boats", user=ADMIN)
            return status == 200

        await on.until(served)
        await on.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await on.client.create(boats, {"metadata": {"name": "wherry"}}, "shop")
        await on.client.delete(NAMESPACES, "shop")
        await gone(on, "shop")
        assert not await on.all(boats)


async def test_pods_go_first_and_what_remains_is_told():
    async with control_plane(Namespaces, ServiceAccounts) as on:
        await on.node()
        await on.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await on.until(lambda: on.find(SERVICE_ACCOUNTS, "default", "shop"))
        await on.client.create(CONFIG_MAPS, {"metadata": {"name": "settings"}}, "shop")
        await on.client.create(PODS, {
            "metadata": {"name": "web"}, "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "app"}]},
        }, "shop")  # fmt: skip
        await on.client.delete(NAMESPACES, "shop")

        async def told() -> bool:
            found = await on.find(NAMESPACES, "shop")
            row = condition_of(found["status"].get("conditions"), "NamespaceContentRemaining") if found else None
            return row is not None and row["status"] == "True"

        await on.until(told)
        found = await on.find(NAMESPACES, "shop")
        row = condition_of(found["status"]["conditions"], "NamespaceContentRemaining")
        assert row["message"] == "Some resources are remaining: pods. has 1 resource instances"
        assert await on.find(CONFIG_MAPS, "settings", "shop"), "nothing else goes before the pods"
        await on.client.delete(PODS, "web", "shop", grace_s=0)
        await gone(on, "shop")


async def test_finalizer_in_the_content_holds_the_namespace():
    async with control_plane(Namespaces) as on:
        await on.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await on.client.create(CONFIG_MAPS, {"metadata": {"name": "held", "finalizers": ["sea.dev/hold"]}}, "shop")
        await on.client.delete(NAMESPACES, "shop")

        async def told() -> bool:
            found = await on.find(NAMESPACES, "shop")
            row = condition_of(found["status"].get("conditions"), "NamespaceFinalizersRemaining") if found else None
            return row is not None and "sea.dev/hold in 1 resource instances" in row["message"]

        await on.until(told)
        await on.client.patch(CONFIG_MAPS, "held", "shop", {"metadata": {"finalizers": None}})
        await gone(on, "shop")


def test_conditions_tell_failures_and_their_end():
    failed = conditions_of([], Progress(errors=["boom"]), EPOCH)
    row = condition_of(failed, "NamespaceDeletionContentFailure")
    assert row is not None and (row["status"], row["reason"]) == ("True", "ContentDeletionFailed")
    row = condition_of(conditions_of(failed, Progress(), EPOCH), "NamespaceDeletionContentFailure")
    assert row is not None and (row["status"], row["reason"]) == ("False", "ContentDeleted")
