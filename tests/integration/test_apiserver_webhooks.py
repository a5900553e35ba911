"""Admission webhooks over real TLS: mutate, deny, fail open and closed, time out."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from wherry.kit.http.message import Request, Response
from wherry.kit.http.server import serve
from wherry.orchestration.apiserver import pki
from wherry.testing.api import TestApi, api_server

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
HOOKS = "/apis/admissionregistration.k8s.io/v1"


@dataclass
class Hooks:
    """A webhook server and the API server that asks it."""

    api: TestApi
    url: str
    ca: str
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def register(self, kind: str, path: str, name: str = "hook", **more: Any) -> tuple[int, Any]:
        hook = {
            "name": f"{name}.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": f"{self.url}/{path}", "caBundle": self.ca},
            "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
            **more,
        }
        body = {"metadata": {"name": name}, "webhooks": [hook]}
        status, answer = await self.api.call("POST", f"{HOOKS}/{kind.lower()}webhookconfigurations", body)
        await self.api.server.registry.fresh()
        return status, answer


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooks]:
    keys = pki.ensure(tmp_path, node_name="hook", now=datetime.now(UTC))
    asked: list[dict[str, Any]] = []

    async def answer(request: Request) -> Response:
        review = orjson.loads(await request.read(1 << 20))
        asked.append(review["request"])
        response: dict[str, Any] = {"uid": review["request"]["uid"], "allowed": True}
        match request.path:
            case "/mutate":
                patch = [{"op": "add", "path": "/metadata/labels", "value": {"by": "hook"}}]
                response |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(patch)).decode(),
                             "warnings": ["a word of warning"]}
            case "/deny":
                response |= {"allowed": False, "status": {"code": 403, "message": "not on my watch"}}
            case "/hang":
                await asyncio.sleep(30)
            case "/rubbish":
                return Response(200, [], b"{}")
        return Response(200, [("content-type", "application/json")], orjson.dumps({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}))

    async with serve(answer, tls=keys.server_tls("apiserver")) as server, api_server() as api:
        ca = base64.b64encode(keys.ca_pem).decode()
        yield Hooks(api, f"https://127.0.0.1:{server.port}", ca, asked)


async def create(hooks: Hooks, name: str = "a", query: str = "", **labels: str) -> tuple[int, Any]:
    return await hooks.api.call("POST", f"{CONFIG_MAPS}{query}", {"metadata": {"name": name, "labels": labels}})


async def test_a_mutating_webhook_changes_the_object(hooks: Hooks) -> None:
    assert (await hooks.register("Mutating", "mutate"))[0] == 201
    response = await hooks.api.raw("POST", CONFIG_MAPS, {"metadata": {"name": "a"}})
    assert orjson.loads(response.body)["metadata"]["labels"] == {"by": "hook"}  # type: ignore[arg-type]
    assert ("warning", '299 - "a word of warning"') in response.headers
    asked = hooks.asked[0]
    assert asked["operation"] == "CREATE" and asked["name"] == "a" and asked["namespace"] == "default"
    assert asked["userInfo"]["username"] == "kubernetes-admin" and asked["oldObject"] is None


async def test_a_validating_webhook_denies(hooks: Hooks) -> None:
    await hooks.register("Validating", "deny")
    status, body = await create(hooks)
    assert status == 403
    assert body["message"] == 'admission webhook "hook.example.com" denied the request: not on my watch'
    assert (await hooks.api.call("GET", f"{CONFIG_MAPS}/a"))[0] == 404


@pytest.mark.parametrize(("policy", "code"), [("Fail", 500), ("Ignore", 201)])
@pytest.mark.parametrize("path", ["hang", "rubbish"])
@pytest.mark.slow
async def test_a_broken_webhook_fails_open_or_closed(hooks: Hooks, path: str, policy: str, code: int) -> None:
    await hooks.register("Validating", path, failurePolicy=policy, timeoutSeconds=1)
    status, body = await create(hooks)
    assert status == code
    assert code == 201 or 'failed calling webhook "hook.example.com"' in body["message"]


@pytest.mark.parametrize(("more", "code"), [
    ({"objectSelector": {"matchLabels": {"check": "me"}}}, 201),
    ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}, 201),
    ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, 403),
    ({"rules": [{"operations": ["DELETE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]}, 201),
    ({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "Cluster"}]}, 201),
], ids=["objects", "other namespace", "this namespace", "deletes", "cluster scope"])
async def test_selectors_and_rules_choose_what_is_asked(hooks: Hooks, more: dict[str, Any], code: int) -> None:
    await hooks.register("Validating", "deny", **more)
    assert (await create(hooks))[0] == code


async def test_side_effects_refuse_a_dry_run(hooks: Hooks) -> None:
    await hooks.register("Validating", "allow", sideEffects="None")
    assert (await create(hooks, query="?dryRun=All"))[0] == 201
    assert hooks.asked[0]["dryRun"] is True


async def test_configurations_cannot_be_intercepted(hooks: Hooks) -> None:
    everything = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]
    await hooks.register("Validating", "deny", rules=everything)
    assert (await create(hooks))[0] == 403
    assert (await hooks.api.call("DELETE", f"{HOOKS}/validatingwebhookconfigurations/hook"))[0] == 200
    assert (await create(hooks))[0] == 201


async def test_conditions_are_not_evaluated_so_the_webhook_is_asked(hooks: Hooks) -> None:
    status, _ = await hooks.register("Validating", "deny", matchConditions=[{"name": "x", "expression": "false"}])
    assert status == 201
    assert (await create(hooks))[0] == 403
