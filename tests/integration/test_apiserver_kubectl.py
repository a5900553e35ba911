"""Real kubectl against a listening API server: TLS, client certificate, protobuf and JSON bodies, tables, patches, apply."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wherry.testing.api import TestApi, api_server

CLIENTS = Path(__file__).parent.parent.parent / ".cache" / "clients"
APP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http, name: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1", ports: [{containerPort: 80, name: http}]}]}
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Color, type: string, jsonPath: .spec.color}]
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {color: {type: string}}}}}}
"""
WIDGET = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {color: red}\n"


class Kubectl:
    """Runs kubectl; `ok` insists on success."""

    def __init__(self, binary: Path, api: TestApi, home: Path) -> None:
        self._binary, self._api, self._home = binary, api, home

    async def run(self, *args: str, stdin: str = "") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            str(self._binary), *args, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env={**os.environ, "KUBECONFIG": str(self._api.kubeconfig), "HOME": str(self._home)})
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin.encode())
        return process.returncode or 0, out.decode(), err.decode()

    async def ok(self, *args: str, stdin: str = "") -> str:
        code, out, err = await self.run(*args, stdin=stdin)
        assert code == 0, err
        return out


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    found = CLIENTS / "kubectl" if (CLIENTS / "kubectl").exists() else shutil.which("kubectl")
    if not found:
        pytest.skip("no kubectl: neither .cache/clients/kubectl nor on the path")
    async with api_server(listen=True, folder=tmp_path / "pki") as api:
        yield Kubectl(Path(found), api, tmp_path)


@pytest.mark.slow
async def test_apply_is_idempotent_on_either_side(kubectl: Kubectl) -> None:
    assert "deployment.apps/web created" in await kubectl.ok("apply", "-f", "-", stdin=APP)
    assert (await kubectl.ok("apply", "-f", "-", stdin=APP)).count("unchanged") == 3
    changed = APP.replace("replicas: 2", "replicas: 4")
    assert "deployment.apps/web configured" in await kubectl.ok("apply", "-f", "-", stdin=changed)
    assert "serverside-applied" in await kubectl.ok("apply", "--server-side", "-f", "-", stdin=changed)
    assert await kubectl.ok("diff", "-f", "-", stdin=changed) == ""
    web = json.loads(await kubectl.ok("-n", "shop", "get", "deploy", "web", "-o", "json"))
    assert web["spec"]["replicas"] == 4 and web["metadata"]["generation"] >= 2


@pytest.mark.parametrize("way", [(), ("--server-side",)], ids=["client", "server"])
@pytest.mark.slow
async def test_nulls_that_go_writes_survive_apply_edit_and_replace(kubectl: Kubectl, way: tuple[str, ...]) -> None:
    bare = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r, namespace: default}\n"
    ruled = bare + "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]\n"
    await kubectl.ok("create", "-f", "-", stdin=bare)
    for manifest, rules in ((bare, None), (ruled, 1), (ruled, 1), (bare, None)):
        await kubectl.ok("apply", *way, "-f", "-", stdin=manifest)
        shown = json.loads(await kubectl.ok("get", "role", "r", "-o", "json"))
        assert len(shown["rules"] or ()) == (rules or 0) and (shown["rules"] is None) == (rules is None)
    assert "rules: null" in (text := await kubectl.ok("get", "role", "r", "-o", "yaml"))
    await kubectl.ok("replace", "-f", "-", stdin=text)
    code, out, _ = await kubectl.run("diff", "-f", "-", stdin=text)
    assert (code, out) == (0, "")
    await kubectl.ok("patch", "role", "r", "--type=json", "-p", '[{"op": "replace", "path": "/rules", "value": []}]')
    await kubectl.ok("auth", "reconcile", "-f", "-", stdin=ruled)
    await kubectl.ok("describe", "role", "r")


@pytest.mark.slow
async def test_imperative_commands_create_what_they_say(kubectl: Kubectl) -> None:
    for words in (
        "create namespace team", "create configmap c --from-literal=a=b", "create secret generic s --from-literal=p=x",
        "create deployment web --image=nginx --replicas=2", "create serviceaccount bot", "create job j --image=busybox",
        "create cronjob cj --image=busybox --schedule=*/5|*|*|*|*", "create role r --verb=get --resource=pods",
        "create rolebinding rb --role=r --serviceaccount=default:bot", "expose deployment web --port=80",
        "create ingress i --rule=a.example/*=web:80", "run p --image=nginx", "create quota q --hard=pods=3",
        "create priorityclass pc --value=10", "create pdb pdb --selector=app=web --min-available=1",
        "autoscale deployment web --max=3", "label configmap c x=y", "annotate configmap c n=m", "scale deploy web --replicas=3",
        "set image deploy/web nginx=nginx:2", "set env deploy/web A=b", "taint nodes --all a=b:NoSchedule",
    ):
        if words.startswith("taint"):
            continue  # needs a node
        await kubectl.ok(*(word.replace("|", " ") for word in words.split(" ")))
    assert json.loads(await kubectl.ok("get", "cm", "c", "-o", "json"))["data"] == {"a": "b"}
    web = json.loads(await kubectl.ok("get", "deploy", "web", "-o", "json"))
    assert web["spec"]["replicas"] == 3 and web["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    assert (await kubectl.ok("auth", "can-i", "create", "pods")).strip() == "yes"
    assert "kubernetes-admin" in await kubectl.ok("auth", "whoami")


@pytest.mark.slow
async def test_custom_resources_are_first_class(kubectl: Kubectl) -> None:
    await kubectl.ok("apply", "-f", "-", stdin=CRD)
    await kubectl.ok("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=10s")
    await kubectl.ok("apply", "-f", "-", stdin=WIDGET)
    assert "red" in await kubectl.ok("get", "wd")
    assert "color" in await kubectl.ok("explain", "widget.spec")
    await kubectl.ok("patch", "wd", "one", "--type=merge", "-p", '{"spec":{"color":"blue"}}')
    assert await kubectl.ok("get", "wd", "one", "-o", "jsonpath={.spec.color}") == "blue"
    await kubectl.ok("delete", "crd", "widgets.example.com", "--timeout=20s")
    code, _, err = await kubectl.run("get", "wd")
    assert code == 1 and "the server doesn't have a resource type" in err or "could not find" in err


@pytest.mark.slow
async def test_every_listable_resource_can_be_listed(kubectl: Kubectl) -> None:
    names = (await kubectl.ok("api-resources", "--verbs=list", "-o", "name")).split()
    assert len(names) > 55
    code, _, err = await kubectl.run("get", ",".join(names), "-A", "--ignore-not-found")
    assert code == 0, err


@pytest.mark.slow
async def test_mistakes_are_explained(kubectl: Kubectl) -> None:
    code, _, err = await kubectl.run("apply", "-f", "-", stdin=APP.replace("replicas: 2", "replicsa: 2"))
    assert code == 1 and 'unknown field "spec.replicsa"' in err
    code, _, err = await kubectl.run("get", "cm", "none")
    assert code == 1 and 'Error from server (NotFound): configmaps "none" not found' in err
    code, _, err = await kubectl.run("delete", "ns", "default")
    assert code == 1 and "this namespace may not be deleted" in err


async def test_a_watch_follows_and_wait_returns(kubectl: Kubectl) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(kubectl.ok("wait", "--for=create", "cm/late", "--timeout=30s"))
        await kubectl.ok("create", "configmap", "late")
    assert "condition met" in waiting.result()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kubectl.ok("wait", "--for=delete", "cm/late", "--timeout=30s"))
        await kubectl.ok("delete", "configmap", "late")


async def test_component_statuses_have_rows_and_the_deprecation_warning(kubectl: Kubectl) -> None:
    code, out, err = await kubectl.run("get", "componentstatuses")
    assert code == 0 and "Warning: v1 ComponentStatus is deprecated in v1.19+" in err
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["controller-manager", "Unhealthy"], ["etcd-0", "Healthy"], ["scheduler", "Unhealthy"]]  # only the API server runs here


@pytest.mark.slow
async def test_an_event_that_regards_nothing_does_not_break_describe(kubectl: Kubectl) -> None:
    event = ("apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {name: lonely, namespace: shop}\n"
             "eventTime: 2026-01-01T00:00:00.000000Z\naction: a\nreason: r\ntype: Normal\nreportingController: example.com/x\n"
             "reportingInstance: i\nnote: nothing in particular\n")
    await kubectl.ok("apply", "-f", "-", stdin=APP)
    code, _, err = await kubectl.run("create", "-f", "-", stdin=event)
    assert code == 1 and "involvedObject.namespace" in err  # what regards nothing is in namespace default
    await kubectl.ok("create", "-f", "-", stdin=event.replace("namespace: shop", "namespace: default"))
    for what in ("deployment/web", "service/web"):
        assert "Name:" in await kubectl.ok("describe", "-n", "shop", what)
    for what in ("namespace/default", "serviceaccount/default"):
        assert "Name:" in await kubectl.ok("describe", what)
