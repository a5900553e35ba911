"""Who shows nothing: probes are answered, everything else is closed."""

from collections.abc import AsyncIterator

import pytest

from wherry.kit.http.message import Request, Response
from wherry.testing.api import TestApi, api_server


@pytest.fixture
async def api() -> AsyncIterator[TestApi]:
    async with api_server() as running:
        yield running


async def status_of(api: TestApi, path: str, method: str = "GET", **headers: str) -> int:
    answer = await api.server.handle(Request(method, path, path, {}, {k.replace("_", "-"): v for k, v in headers.items()}))
    assert isinstance(answer, Response)
    return answer.status


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/version", "/version/"])
async def test_a_probe_needs_no_credential(api: TestApi, path: str) -> None:
    assert await status_of(api, path) == 200


@pytest.mark.parametrize("path", [
    "/", "/api", "/apis", "/metrics", "/openapi/v3", "/healthz/ping", "/readyz/store", "/api/v1/namespaces", "/openid/v1/jwks",
    "/api/v1/namespaces/kube-public/configmaps/cluster-info", "//healthz", "/healthz/",
])
async def test_everything_else_is_closed(api: TestApi, path: str) -> None:
    assert await status_of(api, path) in (401, 404)


async def test_a_wrong_credential_is_told_so_at_a_probe_too(api: TestApi) -> None:
    assert await status_of(api, "/livez", authorization="Bearer wrong") == 401
    assert await status_of(api, "/livez", impersonate_user="kubernetes-admin") == 401


async def test_only_reads_are_answered(api: TestApi) -> None:
    assert await status_of(api, "/version", "POST") == 403


async def test_rbac_can_close_the_probes(api: TestApi) -> None:
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:public-info-viewer"
    assert (await api.call("DELETE", path))[0] == 200
    await api.server.registry.fresh()
    assert await status_of(api, "/healthz") == 403
