"""kubectl's rollout commands against these controllers, over TLS: what users see and type."""

import os
from functools import partial
from pathlib import Path

import pytest
from test_workloads_real_api import start

from wherry.kit.process import run
from wherry.orchestration.client import kubeconfig
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import DAEMON_SETS, DEPLOYMENTS, NODES, PODS, STATEFUL_SETS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.resources import Resource
from wherry.testing.api import api_server
from wherry.testing.cluster_objects import daemon_set, deployment, stateful_set

KUBECTL = str(Path(__file__).parents[3] / ".cache" / "clients" / "kubectl")

pytestmark = pytest.mark.cluster


async def call(config: Path, home: Path, *args: str) -> str:
    env = {**os.environ, "KUBECONFIG": str(config), "HOME": str(home)}
    return (await run([KUBECTL, *args], timeout_s=40, env=env)).decode()


async def test_rollout_status_restart_history_undo(tmp_path: Path) -> None:
    async with api_server(listen=True) as api, start(Client(kubeconfig.load(api.kubeconfig))) as cluster:
        kubectl = partial(call, api.kubeconfig, tmp_path)
        await cluster.client.create(DEPLOYMENTS, deployment(replicas=2))
        assert "successfully rolled out" in await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
        await kubectl("set", "image", "deployment/web", "main=app:2")
        await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
        history = await kubectl("rollout", "history", "deployment/web")
        assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
        await kubectl("rollout", "undo", "deployment/web")
        await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
        assert {p["spec"]["containers"][0]["image"] for p in await cluster.all(PODS)} == {"app:1"}
        await kubectl("rollout", "restart", "deployment/web")
        await kubectl("rollout", "status", "deployment/web", "--timeout=20s")
        await kubectl("scale", "deployment/web", "--replicas=5")
        await kubectl("wait", "deployment/web", "--for=jsonpath={.status.availableReplicas}=5", "--timeout=20s")
        described = await kubectl("describe", "deployment/web")
        assert "ScalingReplicaSet" in described and "NewReplicaSetAvailable" in described
        await kubectl("delete", "deployment/web", "--wait", "--cascade=foreground", "--timeout=20s")
        assert not await cluster.all(PODS) and await cluster.all(NODES)



@pytest.mark.parametrize(("resource", "owner"), [
    pytest.param(STATEFUL_SETS, stateful_set(), id="statefulset"),
    pytest.param(DAEMON_SETS, daemon_set(), id="daemonset"),
])  # fmt: skip
async def test_undo_puts_the_old_template_back(tmp_path: Path, resource: Resource, owner: Object) -> None:
    async with api_server(listen=True) as api, start(Client(kubeconfig.load(api.kubeconfig))) as cluster:
        kubectl = partial(call, api.kubeconfig, tmp_path)
        what = f"{resource.singular}/{name_of(owner)}"
        await cluster.client.create(resource, owner)
        await kubectl("rollout", "status", what, "--timeout=20s")
        await kubectl("set", "image", what, "main=app:2")
        await kubectl("rollout", "status", what, "--timeout=20s")
        assert {p["spec"]["containers"][0]["image"] for p in await cluster.all(PODS)} == {"app:2"}
        history = await kubectl("rollout", "history", what)
        assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
        await kubectl("rollout", "undo", what)
        await kubectl("rollout", "status", what, "--timeout=20s")
        assert {p["spec"]["containers"][0]["image"] for p in await cluster.all(PODS)} == {"app:1"}
