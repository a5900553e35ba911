"""Pods on the real engine: what runs inside, what is mounted, what survives, what is left."""

import asyncio
import sys
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "unit" / "agent"))

from agent_node import RealNode, mounts_of, real_node
from agent_rig import MACHINE, NODE_USER, Rig, container, pod, server

from wherry.container.runtime.crun_engine import CrunEngine
from wherry.kit.http.message import Request
from wherry.orchestration.agent.loop import Agent
from wherry.orchestration.objects.kinds import CONFIG_MAPS, PODS
from wherry.orchestration.objects.meta import condition_of
from wherry.testing.api import TestApi

pytestmark = pytest.mark.node


class NodeRig(Rig):
    """The rig on a real engine with real mounts."""

    def __init__(self, node: RealNode, engines: list[CrunEngine], api: TestApi) -> None:
        super().__init__(node.folder / "agent", api)
        self.node = node
        self.engines = engines
        self.now: Agent | None = None

    def agent(self) -> Agent:
        if self.now is not None:
            self.engines[-1].close()
            self.engines.append(self.node.engine())
        self.now = Agent(
            self.settings, self.api.client_through(self.faults, NODE_USER), self.engines[-1], self.images, None,
            self.api.server.clock, machine=MACHINE, layers=self.node.layers,
        )  # fmt: skip
        return self.now

    async def logs(self, name: str, of: str = "app", **query: str) -> str:
        assert self.now is not None
        path = f"/containerLogs/default/{name}/{of}"
        answer: Any = await self.now.api.handle(Request("GET", path, path, {k: [v] for k, v in query.items()}))
        if isinstance(answer.body, bytes):
            return str(answer.body.decode())
        return "".join([part.decode() async for part in answer.body])


@pytest.fixture
async def rig() -> AsyncIterator[NodeRig]:
    async with real_node() as (node, engines), server() as api:
        yield NodeRig(node, engines, api)


def sh(script: str, **fields: Any) -> dict[str, Any]:
    return container("app", "sh", "-c", script, **fields)


@asynccontextmanager
async def done(rig: NodeRig, subject: dict[str, Any]) -> AsyncIterator[str]:
    """Run a pod to its end; the log of its app."""
    async with rig.running():
        await rig.create({**subject, "spec": {"restartPolicy": "Never", **subject["spec"]}})
        await rig.until(lambda: rig.status().get("phase") in ("Succeeded", "Failed"), limit_s=20)
        yield await rig.logs("web")


async def test_pod_runs_with_its_name_address_and_variables(rig: NodeRig) -> None:
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    script = "hostname; echo $IP; cat /etc/hosts /etc/resolv.conf; id -u; echo bye > /dev/termination-log"
    async with done(rig, pod("web", sh(script, env=env))) as text:
        lines = text.splitlines()
        assert lines[:2] == ["web", rig.status()["podIP"]]
        assert f"{rig.status()['podIP']}\tweb" in text and "nameserver 10.96.0.10" in text
        assert rig.status()["phase"] == "Succeeded"
        assert rig.status()["containerStatuses"][0]["state"]["terminated"]["message"] == "bye\n"


async def test_volumes_are_there_and_gone_afterwards(rig: NodeRig) -> None:
    await rig.client().create(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}, "data": {"a": "one", "b": "two"}})
    volumes = [
        {"name": "c", "configMap": {"name": "c"}},
        {"name": "e", "emptyDir": {}},
        {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
    ]
    mounts = [
        {"name": "c", "mountPath": "/c"},
        {"name": "c", "mountPath": "/only/b", "subPath": "b"},
        {"name": "e", "mountPath": "/e", "subPathExpr": "$(POD)"},
        {"name": "m", "mountPath": "/m"},
        {"name": "t", "mountPath": "/t", "readOnly": True},
    ]
    env = [{"name": "POD", "value": "mine"}]
    script = (
        "cat /c/a; echo; cat /only/b; echo; cat /t/token; echo; touch /e/x && ls /e; stat -c %a /m;"
        "dd if=/dev/zero of=/m/big bs=1M count=2 2>/dev/null || echo full; touch /t/x 2>/dev/null || echo ro"
    )
    subject = pod("web", sh(script, volumeMounts=mounts, env=env), volumes=volumes, securityContext={"fsGroup": 7})
    async with done(rig, subject) as text:
        one, two, token, *rest = text.split()
        assert (one, two, rest) == ("one", "two", ["x", "2777", "full", "ro"])
        header, claims, _ = token.split(".")
        assert b"ES256" in urlsafe_b64decode(f"{header}==") and b"system:serviceaccount:default:default" in urlsafe_b64decode(f"{claims}==")
        await rig.until(lambda: not mounts_of(f"{rig.node.folder}/agent/data"))
        await rig.until(lambda: not list((rig.folder / "data" / "pods").glob("*/volumes")))


async def test_config_map_change_reaches_the_running_container(rig: NodeRig) -> None:
    config = await rig.client().create(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}, "data": {"a": "old"}})
    volumes = [{"name": "c", "configMap": {"name": "c"}}]
    script = "while ! grep -q new /c/a; do sleep 0.05; done; echo seen; sleep infinity"
    async with rig.running():
        await rig.create(pod("web", sh(script, volumeMounts=[{"name": "c", "mountPath": "/c"}]), volumes=volumes, terminationGracePeriodSeconds=0))
        await rig.until(lambda: rig.status().get("phase") == "Running", limit_s=10)
        await rig.client().update(CONFIG_MAPS, {**config, "data": {"a": "new"}})
        async with asyncio.timeout(10):
            while await rig.logs("web") != "seen\n":
                await asyncio.sleep(0.02)


async def test_restarted_agent_adopts_and_logs_go_on(rig: NodeRig) -> None:
    script = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done"
    async with rig.running():
        await rig.create(pod("web", sh(script), terminationGracePeriodSeconds=0))
        await rig.until(lambda: rig.status().get("phase") == "Running", limit_s=10)
        before = rig.status()["containerStatuses"][0]["containerID"]
    async with rig.running() as agent:
        await rig.until(lambda: agent.pods(), limit_s=10)
        count = (await rig.logs("web")).count("\n")
        async with asyncio.timeout(5):
            while (await rig.logs("web")).count("\n") <= count:
                await asyncio.sleep(0.02)
        assert rig.status()["containerStatuses"][0]["containerID"] == before
        assert rig.status()["containerStatuses"][0]["restartCount"] == 0
        await rig.client().delete(PODS, "web", "default")
        await rig.until(lambda: not agent.pods(), limit_s=10)
        assert await rig.engines[-1].sandboxes() == []
        assert not mounts_of(rig.node.id) or all("/run/wat" in line for line in mounts_of(rig.node.id))


async def test_http_probe_reaches_the_pod_and_deletion_honours_grace(rig: NodeRig) -> None:
    probe = {"httpGet": {"port": 8080, "path": "/index.html"}, "periodSeconds": 1}
    script = "trap 'echo got term; exit 0' TERM; echo ok > /tmp/index.html; httpd -p 8080 -h /tmp; while true; do sleep 0.05; done"
    async with rig.running() as agent:
        await rig.create(pod("web", sh(script, readinessProbe=probe), terminationGracePeriodSeconds=5))
        await rig.until(
            lambda: (condition_of(rig.status().get("conditions"), "Ready") or {}).get("status") == "True", limit_s=15
        )
        follow = asyncio.ensure_future(rig.logs("web", follow="true"))
        await asyncio.sleep(0)
        await rig.client().delete(PODS, "web", "default")
        assert "got term" in await follow
        await rig.until(lambda: not agent.pods(), limit_s=10)


async def test_missing_command_is_a_start_error(rig: NodeRig) -> None:
    async with rig.running():
        await rig.create(pod("web", container("app", "no-such-program"), restartPolicy="Never"))
        await rig.until(lambda: rig.status().get("phase") == "Failed", limit_s=10)
        state = rig.status()["containerStatuses"][0]["state"]["terminated"]
        assert (state["reason"], state["exitCode"]) == ("StartError", 128)
        assert "no-such-program" in state["message"]


async def test_container_over_its_memory_limit_is_oom_killed(rig: NodeRig) -> None:
    limits = {"limits": {"memory": "16Mi"}}
    async with done(rig, pod("web", sh("exec dd if=/dev/zero of=/dev/null bs=64M count=1", resources=limits))):
        state = rig.status()["containerStatuses"][0]["state"]["terminated"]
        assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)


async def test_resize_reaches_the_cgroup(rig: NodeRig) -> None:
    def sized(memory: str) -> dict[str, Any]:
        return {"requests": {"memory": memory}, "limits": {"memory": memory}}

    async with rig.running():
        await rig.create(pod("web", sh("sleep infinity", resources=sized("32Mi")), terminationGracePeriodSeconds=0))
        await rig.until(lambda: rig.status().get("phase") == "Running", limit_s=10)
        found = await rig.client().get(PODS, "web", "default")
        found["spec"]["containers"][0]["resources"] = sized("48Mi")
        await rig.client().update(PODS, found, subresource="resize")
        shown = lambda: rig.status()["containerStatuses"][0]["resources"]["limits"]["memory"]  # noqa: E731
        await rig.until(lambda: shown() == "48Mi")
        limits = {p.read_text().strip() for p in Path("/sys/fs/cgroup").glob(f"memory/wat-{rig.node.id}/**/memory.limit_in_bytes")}
        limits |= {p.read_text().strip() for p in Path("/sys/fs/cgroup").glob(f"wat-{rig.node.id}/**/memory.max")}
        assert str(48 << 20) in limits and str(32 << 20) not in limits


async def test_rotated_log_loses_no_line_of_a_follower(rig: NodeRig) -> None:
    rig.settings = replace(rig.settings, log_max_bytes=2000, log_check_s=0.1)
    script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; sleep 0.002; done; sleep 1"
    async with rig.running():
        await rig.create(pod("web", sh(script), restartPolicy="Never"))
        await rig.until(lambda: rig.status().get("phase") == "Running", limit_s=10)
        text = await rig.logs("web", follow="true")
        assert text.splitlines() == [f"line {number}" for number in range(1, 301)]
        names = sorted(p.name for p in (rig.folder / "logs").glob("*/app/*"))
        assert "0.log" in names and 2 <= len(names) <= 5


async def test_image_volume_shows_the_image_read_only(rig: NodeRig) -> None:
    volumes = [{"name": "i", "image": {"reference": "side:1"}}]
    mounts = [{"name": "i", "mountPath": "/i"}, {"name": "i", "mountPath": "/only", "subPath": "etc"}]
    script = "ls /i/bin/busybox /only/passwd; touch /i/x 2>/dev/null || echo ro"
    async with done(rig, pod("web", sh(script, volumeMounts=mounts), volumes=volumes)) as text:
        assert text.split() == ["/i/bin/busybox", "/only/passwd", "ro"]
