"""Mangled bodies against every kind of endpoint: each gets a Status below 500, none gets an exception."""

import asyncio
import random
from typing import Any

import pytest

from wherry.testing.api import api_server

JUNK: list[Any] = [None, [], {}, "x", 1, -1, True, [1], {"a": None}, "", [{}], [None], 1e308, "\u0000"]
POD = {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}},
                       "ports": [{"containerPort": 80}], "securityContext": {"capabilities": {"add": ["X"]}},
                       "volumeMounts": [{"name": "v", "mountPath": "/x"}]}],
       "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "a"}]}
PODS, SERVICES = "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/services"
SEEDS: dict[str, Any] = {
    PODS: {"metadata": {"name": "p", "labels": {"a": "b"}}, "spec": POD},
    f"{PODS}/q/binding": {"metadata": {"name": "q"}, "target": {"kind": "Node", "name": "n"}},
    f"{PODS}/q/eviction": {"metadata": {"name": "q"}, "deleteOptions": {"preconditions": {"uid": "x"}}},
    SERVICES: {"metadata": {"generateName": "s"}, "spec": {"ports": [{"port": 80, "nodePort": 30001}], "type": "NodePort"}},
    "/apis/apps/v1/namespaces/default/deployments": {"metadata": {"generateName": "s"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}},
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions": {"metadata": {"name": "gs.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "gs", "kind": "G"}, "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}},
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": {"spec": {
        "user": "a", "groups": ["b"], "resourceAttributes": {"verb": "get", "resource": "pods"}}},
    "/apis/authentication.k8s.io/v1/tokenreviews": {"spec": {"token": "x", "audiences": ["a"]}},
    "/api/v1/namespaces/default/serviceaccounts/default/token": {"spec": {
        "audiences": ["a"], "expirationSeconds": 3600, "boundObjectRef": {"kind": "Pod", "name": "q"}}},
    "/api/v1/namespaces/default/limitranges": {"metadata": {"generateName": "q"}, "spec": {"limits": [
        {"type": "Container", "max": {"cpu": "9"}, "default": {"cpu": "1"}}]}},
    "/api/v1/nodes": {"metadata": {"generateName": "n"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}},
    "/apis/policy/v1/namespaces/default/poddisruptionbudgets": {"metadata": {"generateName": "n"}, "spec": {
        "minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}},
}
TARGETS = {f"{PODS}/q": ("", "/status", "/resize", "/ephemeralcontainers"), f"{SERVICES}/svc": ("", "/status")}
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json",
           "application/apply-patch+yaml")
PATHS = ("/spec", "/metadata", "/metadata/labels", "/spec/containers", "/spec/containers/0", "/spec/ports/0", "/status")


def mangled(value: Any, dice: random.Random) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(list(value))
        return {**value, key: mangled(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.8:
        index = dice.randrange(len(value))
        return [*value[:index], mangled(value[index], dice), *value[index + 1:]]
    return dice.choice(JUNK)


def patch(dice: random.Random) -> tuple[str, str, Any]:
    target = dice.choice(list(TARGETS))
    path, content_type = target + dice.choice(TARGETS[target]), dice.choice(PATCHES)
    if "json-patch" in content_type:
        return path, content_type, [{"op": "replace", "path": dice.choice(PATHS), "value": dice.choice(JUNK)}]
    query = "?fieldManager=f&force=true" if "apply" in content_type else ""
    return path + query, content_type, mangled(SEEDS[target.rpartition("/")[0]], dice)


@pytest.mark.parametrize("seed", range(3))
async def test_no_body_breaks_the_server(seed: int) -> None:
    dice = random.Random(seed)
    async with api_server() as api:
        await api.call("POST", PODS, {"metadata": {"name": "q"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
        await api.call("POST", SERVICES, {"metadata": {"name": "svc"}, "spec": {"ports": [{"port": 80}]}})
        for _ in range(500):
            if dice.random() < 0.4:
                path, content_type, body = patch(dice)
                method = "PATCH"
            else:
                path, content_type, method = dice.choice(list(SEEDS)), "application/json", "POST"
                body = mangled(SEEDS[path], dice)
            async with asyncio.timeout(10):
                response = await api.raw(method, path, body, content_type=content_type)
            assert response.status < 500 or response.status == 501, (method, path, body, response.body)
