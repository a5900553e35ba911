"""Create the same objects on kube-apiserver and on this API server, and print the places in which their answers differ in shape.

In:    `make judges` (kube-apiserver 1.37.2, etcd 3.7.3).
Out:   a line a place: which side alone has it, or that its type differs; then how many answers differ.
Run:   .venv/bin/python tools/compare_shapes.py
"""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import api_peer  # noqa: E402

from wherry.testing.api import api_server  # noqa: E402

Call = Callable[[str, str, str, bytes], Awaitable[Any]]
CORE, APPS, BATCH = "/api/v1/namespaces/default", "/apis/apps/v1/namespaces/default", "/apis/batch/v1/namespaces/default"
RBAC, EVENTS = "/apis/rbac.authorization.k8s.io/v1/namespaces/default", "/apis/events.k8s.io/v1/namespaces/default/events"
SLICES, ACCESS = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", "/apis/authorization.k8s.io/v1"
STRATEGIC, MERGE, APPLY = (f"application/{kind}" for kind in (
    "strategic-merge-patch+json", "merge-patch+json", "apply-patch+yaml"))
STORAGE = "/apis/storage.k8s.io/v1"
SELECTOR = {"matchLabels": {"a": "b"}}
SPEC = {"containers": [{"name": "main", "image": "x:1"}]}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": SPEC}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
ABOUT = {"kind": "Pod", "namespace": "default", "name": "p"}
NEW_EVENT = {"eventTime": "2026-01-02T03:04:05.000006Z", "regarding": ABOUT, "reportingController": "a.b/c",
             "reportingInstance": "i", "action": "Do", "reason": "Because", "type": "Normal"}
CREATED: tuple[tuple[str, dict[str, Any]], ...] = (
    *((f"{RBAC}/roles", rules) for rules in ({}, {"rules": []}, {"rules": None}, {"rules": RULES})),
    ("/apis/rbac.authorization.k8s.io/v1/clusterroles", {"aggregationRule": {"clusterRoleSelectors": [SELECTOR]}}),
    (f"{CORE}/limitranges", {}), (f"{CORE}/limitranges", {"spec": {"limits": []}}), (f"{CORE}/endpoints", {}),
    (f"{CORE}/events", {"involvedObject": ABOUT}), (EVENTS, NEW_EVENT),
    (f"{CORE}/pods", {"spec": {**SPEC, "volumes": [{"name": "p", "projected": {"sources": []}}]}}),
    ("/api/v1/nodes", {"status": {"conditions": [{"type": "Ready", "status": "True"}], "images": [{"sizeBytes": 5}]}}),
    ("/api/v1/persistentvolumes", {"spec": {**CLAIM, "resources": None, "capacity": {"storage": "1Gi"},
                                            "azureFile": {"secretName": "x", "shareName": "y"}}}),
    (f"{CORE}/persistentvolumeclaims", {"spec": {**CLAIM, "dataSource": {"kind": "PersistentVolumeClaim", "name": "c"}}}),
    *((f"{APPS}/{plural}", {"spec": {"selector": SELECTOR, "template": TEMPLATE, **more}})
      for plural, more in (("deployments", {}), ("daemonsets", {}), ("replicasets", {}), ("statefulsets", {"serviceName": "s"}))),
    (f"{BATCH}/jobs", {"spec": {"template": {"spec": {**SPEC, "restartPolicy": "Never"}}, "podFailurePolicy": {}}}),
    (SLICES, {"addressType": "IPv4"}), (SLICES, {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{}]}),
    ("/apis/networking.k8s.io/v1/namespaces/default/ingresses", {"spec": {
        "defaultBackend": {"resource": {"kind": "a", "name": "b"}}}}),
    *((f"{STORAGE}/csinodes", spec) for spec in ({}, {"spec": {"drivers": [{"name": "d", "nodeID": "n"}]}})),
    (f"{STORAGE}/volumeattachments", {"spec": {
        "attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "p"}}}),
    ("/apis/resource.k8s.io/v1/namespaces/default/resourceclaims", {}),
    ("/apis/policy/v1/namespaces/default/poddisruptionbudgets", {"spec": {"minAvailable": 1}}),
    (f"{CORE}/serviceaccounts/default/token", {"spec": {}}),
    (f"{ACCESS}/selfsubjectaccessreviews", {"spec": {"nonResourceAttributes": {"verb": "get", "path": "/"}}}),
    (f"{ACCESS}/subjectaccessreviews", {"spec": {"user": "u", "groups": [], "nonResourceAttributes": {"verb": "get"}}}),
    ("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": "x", "audiences": []}}),
)
PATCHED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("0", MERGE, {"rules": RULES}), ("0", MERGE, {"rules": None}),
    ("10/status", STRATEGIC, {"status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
        {"name": "main", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}]}}),
    ("14/status", MERGE, {"status": {"conditions": [{"type": "Progressing", "status": "True"}]}}),
    ("0?fieldManager=m", APPLY, {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": RULES}),
    ("0?fieldManager=m", APPLY, {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}),
)


async def play(call: Call) -> list[Any]:
    """The answers to all requests; objects are named by their place in `CREATED`."""
    questions = (ACCESS, "/apis/authentication.k8s.io", f"{CORE}/serviceaccounts")
    found = []
    for number, (path, obj) in enumerate(CREATED):
        named = {} if path.startswith(questions) else {"metadata": {"name": f"o{number}"}}
        found.append(await call("POST", path, "application/json", orjson.dumps({**named, **obj})))
    for place, content_type, patch in PATCHED:
        path = CREATED[int(place.partition("/")[0].partition("?")[0])][0]
        found.append(await call("PATCH", f"{path}/o{place}", content_type, orjson.dumps(patch)))
    return found


def differences(theirs: Any, ours: Any, path: str = "") -> Iterator[str]:
    """What one side alone has, and where the types differ. Who owns what is not compared."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted({*theirs, *ours} - {"managedFields"}):
            if key in theirs and key in ours:
                yield from differences(theirs[key], ours[key], f"{path}.{key}")
            else:
                side, value = ("kube-apiserver", theirs[key]) if key in theirs else ("wherry", ours[key])
                yield f"{path}.{key}: only {side}: {orjson.dumps(value).decode()[:80]}"
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif type(theirs) is not type(ours) or isinstance(theirs, list):
        yield f"{path}: {orjson.dumps(theirs).decode()[:80]} and {orjson.dumps(ours).decode()[:80]}"


async def of_peer() -> list[Any]:
    with tempfile.TemporaryDirectory(prefix="wherry-shapes-") as folder:
        async with api_peer.peer(ROOT / ".cache" / "judges" / "bin", Path(folder)) as server, aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {server.token}"}, connector=api_peer._connector(),
        ) as session:
            async def call(method: str, path: str, content_type: str, body: bytes) -> Any:
                async with session.request(method, server.url + path, data=body, headers={"content-type": content_type}) as answer:
                    return await answer.json()

            return await play(call)


async def of_ours() -> list[Any]:
    async with api_server() as api:
        async def call(method: str, path: str, content_type: str, body: bytes) -> Any:
            return (await api.call(method, path, body, content_type=content_type))[1]

        return await play(call)


async def main() -> None:
    theirs, ours = await of_peer(), await of_ours()
    names = [*(path for path, _ in CREATED), *(f"patch of {place}" for place, _, _ in PATCHED)]
    differ = 0
    for name, one, other in zip(names, theirs, ours, strict=True):
        found = list(differences(one, other))
        differ += bool(found)
        for line in found:
            print(f"{name}: {line}")
    print(f"{differ} of {len(names)} answers differ in shape")


if __name__ == "__main__":
    asyncio.run(main())
