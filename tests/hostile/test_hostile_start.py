"""A start while a webhook that refuses everything cannot be reached: the server lives, and writes once it may."""

import asyncio

import pytest

from wherry.assembly import addons
from wherry.orchestration.objects.kinds import STORAGE_CLASSES
from wherry.testing.api import api_server

HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
CATCH_ALL = {"metadata": {"name": "all"}, "webhooks": [{
    "name": "all.example.com", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
    "clientConfig": {"service": {"name": "gone", "namespace": "default"}},
    "rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}]}


@pytest.mark.virtual_time
async def test_a_dead_catch_all_webhook_does_not_end_the_server_at_its_start() -> None:
    async with api_server() as api, asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        assert (await api.call("POST", HOOKS, CATCH_ALL))[0] == 201
        await api.server.registry.fresh()
        applying = tasks.create_task(addons.keep_applied(api.client, (STORAGE_CLASSES, addons.local_class("n"))))
        await asyncio.sleep(addons.RETRY_S / 2)
        assert not applying.done(), "it waits for its turn"
        assert (await api.call("DELETE", f"{HOOKS}/all"))[0] == 200
        await api.server.registry.fresh()
        await asyncio.sleep(addons.RETRY_S)
        await applying
        assert await api.client.get(STORAGE_CLASSES, "local")
