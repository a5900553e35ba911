"""Pod Security Standards: what each level refuses, and what namespaces do with it."""

from typing import Any

import pytest

from wherry.orchestration.apiserver.admission.pod_security_checks import violations
from wherry.testing.api import api_server

GOOD = {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"}}


def pod(security: dict[str, Any] | None = None, container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {
        "containers": [{"name": "c", "image": "i", "securityContext": security or {}, **(container or {})}], **spec}}


@pytest.mark.parametrize(("level", "obj", "reasons"), [
    ("privileged", pod({"privileged": True}, hostNetwork=True), []),
    ("baseline", pod(), []),
    ("baseline", pod({"privileged": True}), ["privileged"]),
    ("baseline", pod(hostNetwork=True, hostPID=True), ["host namespaces"]),
    ("baseline", pod({"capabilities": {"add": ["NET_ADMIN"]}}), ["non-default capabilities"]),
    ("baseline", pod({"capabilities": {"add": ["CHOWN"]}}), []),
    ("baseline", pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), ["hostPath volumes"]),
    ("baseline", pod(container={"ports": [{"containerPort": 80, "hostPort": 80}]}), ["hostPort"]),
    ("baseline", pod({"windowsOptions": {"hostProcess": True}}), ["hostProcess"]),
    ("baseline", pod(container={"livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}), ["probe or lifecycle host"]),
    ("baseline", pod(container={"lifecycle": {"preStop": {"tcpSocket": {"port": 80, "host": "a"}}}}), ["probe or lifecycle host"]),
    ("baseline", pod({"procMount": "Unmasked"}), ["procMount"]),
    ("baseline", pod({"seccompProfile": {"type": "Unconfined"}}), ["seccompProfile"]),
    ("baseline", pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}), ["forbidden sysctls"]),
    ("restricted", pod(GOOD), []),
    ("restricted", pod(), ["allowPrivilegeEscalation != false", "unrestricted capabilities", "runAsNonRoot != true", "seccompProfile"]),
    ("restricted", pod(GOOD | {"runAsUser": 0}), ["runAsUser=0"]),
    ("restricted", pod(GOOD, volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}]), ["restricted volume types"]),
    ("restricted", pod(GOOD, volumes=[{"name": "v", "emptyDir": {}}]), []),
])
def test_levels_refuse_what_the_standard_says(level: str, obj: dict[str, Any], reasons: list[str]) -> None:
    assert [violation.reason for violation in violations(level, obj)] == reasons


async def test_a_namespace_enforces_and_warns() -> None:
    async with api_server() as api:
        labels = {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"}
        await api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "safe", "labels": labels}})
        await api.create_default_account("safe")
        path = "/api/v1/namespaces/safe/pods"
        status, body = await api.call("POST", path, pod({"privileged": True}))
        assert status == 403 and body["message"] == (
            'pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged (container "c" must not set '
            "securityContext.privileged=true)")
        response = await api.raw("POST", path, pod())
        assert response.status == 201
        assert any(name == "warning" and 'would violate PodSecurity' in value for name, value in response.headers)
        bad = {"metadata": {"name": "x", "labels": {"pod-security.kubernetes.io/enforce": "strict"}}}
        assert (await api.call("POST", "/api/v1/namespaces", bad))[0] == 422
