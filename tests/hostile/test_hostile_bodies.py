"""Bodies of somebody without any role: a review has a bound, and a file path that can never be written is refused."""

import pytest

from wherry.orchestration.apiserver.user import AUTHENTICATED, User
from wherry.testing.api import api_server

NOBODY = User("jane", groups=(AUTHENTICATED,))
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PODS = "/api/v1/namespaces/default/pods"


async def test_a_review_is_refused_by_its_length_before_it_is_read() -> None:
    async with api_server() as api:
        big = b"spec:\n" + b"- a: b\n" * 100_000
        assert (await api.call("POST", REVIEWS, big, user=NOBODY, content_type="application/yaml"))[0] == 413
        small = b"spec: {resourceAttributes: {verb: get, resource: pods}}"
        assert (await api.call("POST", REVIEWS, small, user=NOBODY, content_type="application/yaml"))[0] == 201


async def test_a_large_manifest_is_taken() -> None:
    async with api_server() as api:
        text = b"metadata: {name: c}\ndata:\n" + b"".join(b"  k%d: some text\n" % i for i in range(5_000))
        path = "/api/v1/namespaces/default/configmaps"
        assert (await api.call("POST", path, text, content_type="application/yaml"))[0] == 201


@pytest.mark.parametrize("path", ["..data/x", "..data", "..2026/x"])
async def test_a_volume_writes_no_file_over_its_own(path: str) -> None:
    async with api_server() as api:
        status, body = await api.call("POST", PODS, {"metadata": {"name": "p"}, "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "a", "path": path}]}}]}})
        assert status == 422 and "must not start with '..'" in body["message"]
