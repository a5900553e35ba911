"""Authentication and authorization through the whole API server: what a caller with a token meets."""

from collections.abc import AsyncIterator

import orjson
import pytest

from wherry.kit.http.message import Request, Response
from wherry.orchestration.apiserver.user import User, node_user
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import TestApi, api_server

RBAC = "/apis/rbac.authorization.k8s.io/v1"
AMY = User("amy", groups=("system:authenticated",))


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def as_admin(api: TestApi, method: str, path: str, body: object = None, content_type: str = "application/json") -> Object:
    """Do it, then wait until the caches that authorization reads have seen it."""
    status, answer = await api.call(method, path, body, content_type=content_type)
    assert status < 300, answer
    await api.server.registry.fresh()
    return answer  # type: ignore[no-any-return]


async def new_account(api: TestApi, name: str) -> str:
    status, answer = await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
    assert status in (201, 409), answer
    await api.server.registry.fresh()
    status, answer = await api.call("POST", f"/api/v1/namespaces/default/serviceaccounts/{name}/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    assert status == 201, answer
    return str(answer["status"]["token"])


async def with_token(api: TestApi, path: str, token: str) -> tuple[int, Object]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    response = await api.server.handle(Request("GET", path, path, headers=headers))
    assert isinstance(response, Response) and isinstance(response.body, bytes)
    return response.status, orjson.loads(response.body)


def binding(name: str, role: str, user: str) -> Object:
    return {"metadata": {"name": name}, "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}}


@pytest.mark.parametrize("path", ["/api", "/api/v1/pods", "/metrics", "/none"])
async def test_nothing_is_told_to_strangers(api: TestApi, path: str) -> None:
    status, body = await with_token(api, path, "")
    assert (status, body["kind"], body["reason"], body["message"]) == (401, "Status", "Unauthorized", "Unauthorized")


async def test_account_reads_what_it_is_bound_to_until_it_is_deleted(api: TestApi) -> None:
    token = await new_account(api, "jane")
    pods = "/api/v1/namespaces/default/pods"
    status, body = await with_token(api, pods, token)
    assert status == 403 and body["message"] == (
        'pods is forbidden: User "system:serviceaccount:default:jane" cannot list resource "pods" in API group "" '
        'in the namespace "default"')
    account = {"kind": "ServiceAccount", "name": "jane", "namespace": "default"}
    await as_admin(api, "POST", f"{RBAC}/namespaces/default/rolebindings", binding("v", "view", "x") | {"subjects": [account]})
    assert (await with_token(api, pods, token))[0] == 200
    assert (await with_token(api, "/api/v1/pods", token))[0] == 403
    assert (await with_token(api, "/apis", token))[0] == 200
    await as_admin(api, "DELETE", "/api/v1/namespaces/default/serviceaccounts/jane")
    assert (await with_token(api, pods, token))[0] == 401


async def test_who_may_write_roles_still_cannot_raise_himself(api: TestApi) -> None:
    await as_admin(api, "POST", f"{RBAC}/clusterroles", {"metadata": {"name": "writer"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles", "clusterrolebindings"], "verbs": ["*"]}]})
    await as_admin(api, "POST", f"{RBAC}/clusterrolebindings", binding("w", "writer", "amy"))
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    status, _ = await api.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "ok"}, "rules": []}, user=AMY)
    assert status == 201
    # "verbs: *" holds escalate and bind too, as upstream has it.
    status, _ = await api.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "up"}, "rules": [rule]}, user=AMY)
    assert status == 201
    await as_admin(api, "PATCH", f"{RBAC}/clusterroles/writer", {"rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles", "clusterrolebindings"], "verbs": ["create"]}]},
        content_type="application/merge-patch+json")
    status, body = await api.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "up2"}, "rules": [rule]}, user=AMY)
    assert status == 403 and "not currently held" in body["message"]
    status, body = await api.call("POST", f"{RBAC}/clusterrolebindings", binding("b", "cluster-admin", "amy"), user=AMY)
    assert status == 403 and body["message"].startswith('clusterrolebindings.rbac.authorization.k8s.io "b" is forbidden')


async def test_node_sees_its_own_secrets_only(api: TestApi) -> None:
    await api.call("POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})
    status, body = await api.call("GET", "/api/v1/namespaces/default/secrets/s", user=node_user("n1"))
    assert status == 403 and body["message"].endswith("no relationship found between node 'n1' and this object")
    await new_account(api, "default")
    await as_admin(api, "POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}, "spec": {
        "nodeName": "n1", "containers": [{"name": "a", "image": "i"}], "volumes": [{"name": "s", "secret": {"secretName": "s"}}]}})
    watch_one = "/api/v1/namespaces/default/secrets?fieldSelector=metadata.name%3Ds"
    assert (await api.call("GET", "/api/v1/namespaces/default/secrets/s", user=node_user("n1")))[0] == 200
    assert (await api.call("GET", watch_one, user=node_user("n1")))[0] == 200
    assert (await api.call("GET", watch_one, user=node_user("n2")))[0] == 403
    assert (await api.call("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", user=node_user("n1")))[0] == 200
    assert (await api.call("GET", "/api/v1/pods", user=node_user("n1")))[0] == 403


async def test_reviews_answer_over_the_api(api: TestApi) -> None:
    status, body = await api.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}, user=AMY)
    assert status == 201 and body["status"]["userInfo"]["username"] == "amy"
    status, body = await api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}, user=AMY)
    assert status == 201 and body["status"] == {"allowed": False}


async def test_table_is_rendered_for_a_list(api: TestApi) -> None:
    status, body = await api.call(
        "GET", "/api/v1/namespaces", accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
    assert (status, body["kind"], body["apiVersion"]) == (200, "Table", "meta.k8s.io/v1")
    assert [row["cells"][:2] for row in body["rows"]] == [
        [name, "Active"] for name in ("default", "kube-node-lease", "kube-public", "kube-system")]
