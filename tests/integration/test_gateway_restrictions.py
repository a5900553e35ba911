"""What restricts access does so at a real Envoy: client networks, annotations that are refused, canaries."""

from collections import Counter
from typing import Any

import pytest
from gateway_rig import gateway_rig, ingress, rule

pytestmark = pytest.mark.cluster

NGINX = "nginx.ingress.kubernetes.io/"


def annotated(name: str, host: str, backend: str = "one", **annotations: str) -> dict[str, Any]:
    found = ingress(name, rules=[rule(host, ("Prefix", "/", backend))])
    found["metadata"]["annotations"] = {NGINX + key.replace("_", "-"): value for key, value in annotations.items()}
    return found


async def test_ingress_annotations_keep_out_whom_they_name() -> None:
    async with gateway_rig() as rig:
        for name in ("one", "two"):
            await rig.backend(name)
        await rig.create(
            annotated("in", "in.test", whitelist_source_range="127.0.0.0/8"),
            annotated("out", "out.test", whitelist_source_range="192.0.2.0/24,2001:db8::/32"),
            annotated("denied", "denied.test", denylist_source_range="127.0.0.1"),
            annotated("basic", "basic.test", auth_type="basic"),
            annotated("main", "canary.test"), annotated("next", "canary.test", "two", canary="true", canary_weight="10"),
        )
        await rig.eventually("/", 200, "in.test")
        await rig.eventually("/", 403, "out.test")
        assert (await rig.get("/", "out.test", headers={"x-forwarded-for": "192.0.2.7"})).status == 403
        await rig.eventually("/", 403, "denied.test")
        refused = await rig.eventually("/", 503, "basic.test")
        assert f"{NGINX}auth-type" in refused.text
        await rig.eventually("/", 200, "canary.test")
        await rig.controller.feed.wait_applied()
        seen = Counter([(await rig.get("/", "canary.test")).seen["backend"] for _ in range(200)])
        assert seen["one-0"] > seen["two-0"]
