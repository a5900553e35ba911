"""All workload controllers together against the real API server in memory; the test plays scheduler and kubelet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from wherry.kit.clock import SystemClock, rfc3339
from wherry.kit.errors import Conflict, NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.loop_kit import Tools
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.controllers.cronjob.loop import Controller as CronJobs
from wherry.orchestration.controllers.daemonset.loop import Controller as DaemonSets
from wherry.orchestration.controllers.daemonset.placement import target_of
from wherry.orchestration.controllers.deployment.loop import Controller as Deployments
from wherry.orchestration.controllers.garbage_collector.loop import Controller as Garbage
from wherry.orchestration.controllers.job.loop import Controller as Jobs
from wherry.orchestration.controllers.job.orphans import Orphans
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.controllers.statefulset.loop import Controller as StatefulSets
from wherry.orchestration.objects.kinds import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from wherry.orchestration.objects.meta import Object, condition_of, is_deleting, name_of, namespace_of
from wherry.orchestration.objects.resources import Resource
from wherry.testing.api import api_server
from wherry.testing.cluster_objects import daemon_set, deployment, node, pod_template, stateful_set

KINDS = (Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, Orphans, CronJobs, Garbage)


@dataclass(slots=True)
class Cluster:
    client: Client
    exit_code: int | None = None  # set: pods end with it instead of running on

    async def all(self, resource: Resource) -> list[Object]:
        return (await self.client.list(resource)).items

    async def get(self, resource: Resource, name: str) -> Object:
        return await self.client.get(resource, name, "default" if resource.namespaced else "")

    async def until(self, true: Callable[[], Any], what: str = "") -> None:
        async with asyncio.timeout(20):
            while not await true():
                await asyncio.sleep(0.005)

    async def add_node(self, name: str) -> None:
        """A node that the node controller has found ready."""
        await self.client.create(NODES, node(name))
        await self.client.patch(NODES, name, "", {"spec": {"taints": None}})

    async def run_pods(self) -> None:
        """Play scheduler and kubelet until cancelled."""
        while True:
            for pod in await self.all(PODS):
                await self._run_pod(pod)
            await asyncio.sleep(0.005)

    async def _run_pod(self, pod: Object) -> None:
        name, namespace = name_of(pod), namespace_of(pod)
        if is_deleting(pod):
            if pod["spec"].get("nodeName"):
                await self.client.delete(PODS, name, namespace, grace_s=0)
            return
        if not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": target_of(pod) or "node-1"}
            body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
            await self.client.create_subresource(PODS, name, namespace, "binding", body)
            return
        status, now = pod.get("status") or {}, rfc3339(SystemClock().now())
        if status.get("phase") != "Pending":
            return
        if self.exit_code is None:
            ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
            patch = {"phase": "Running", "conditions": [ready]}
        else:
            ended = {"exitCode": self.exit_code, "finishedAt": now, "startedAt": now, "reason": "Completed"}
            container = {"name": "main", "image": "app:1", "imageID": "", "ready": False, "restartCount": 0,
                         "state": {"terminated": ended}}  # fmt: skip
            patch = {"phase": "Failed" if self.exit_code else "Succeeded", "containerStatuses": [container]}
        await self.client.patch_status(PODS, name, namespace, {"status": patch})


@asynccontextmanager
async def start(client: Client) -> AsyncIterator[Cluster]:
    """All controllers through `client`, two nodes, and the hand that runs pods."""
    async with asyncio.TaskGroup() as tasks:
        cluster, informers = Cluster(client), Informers(client)
        recorder = Recorder(client, "test")
        tools = Tools(client, informers, recorder, SystemClock())
        started = [tasks.create_task(kind(tools).run()) for kind in KINDS]
        started += [tasks.create_task(informers.run()), tasks.create_task(recorder.run())]
        for number in (1, 2):
            await cluster.add_node(f"node-{number}")
        started.append(tasks.create_task(keep_alive(cluster)))
        try:
            yield cluster
        finally:
            for task in started:
                task.cancel()
            await client.close()


async def keep_alive(cluster: Cluster) -> None:
    while True:
        try:
            await cluster.run_pods()
        except (Conflict, NotFound):  # it lost a race against a controller
            await asyncio.sleep(0)


@pytest.fixture
async def cluster():
    async with api_server() as api, start(api.client) as found:
        yield found


async def test_deployment_rolls_out_updates_and_is_collected(cluster: Cluster) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment(replicas=4))

    async def complete(image: str) -> bool:
        found = await cluster.get(DEPLOYMENTS, "web")
        progress = condition_of((found.get("status") or {}).get("conditions"), "Progressing")
        images = {p["spec"]["containers"][0]["image"] for p in await cluster.all(PODS)}
        return bool(progress) and progress["reason"] == "NewReplicaSetAvailable" and images == {image} and (
            found["status"]["observedGeneration"] == found["metadata"]["generation"]
        )

    await cluster.until(lambda: complete("app:1"))
    await cluster.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"template": pod_template("app:2")}})
    await cluster.until(lambda: complete("app:2"))
    generation = (await cluster.get(DEPLOYMENTS, "web"))["metadata"]["generation"]
    assert generation == 2 and len(await cluster.all(REPLICA_SETS)) == 2
    await cluster.client.delete(DEPLOYMENTS, "web", "default", propagation="Foreground")

    async def gone() -> bool:
        return not (await cluster.all(PODS) or await cluster.all(REPLICA_SETS) or await cluster.all(DEPLOYMENTS))

    await cluster.until(gone)
    reasons = {event["reason"] for event in await cluster.all(EVENTS)}
    assert {"ScalingReplicaSet", "SuccessfulCreate", "SuccessfulDelete"} <= reasons


async def test_stateful_set_with_claims(cluster: Cluster) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    await cluster.client.create(STATEFUL_SETS, stateful_set(volumeClaimTemplates=[claim]))

    async def ready(image: str) -> bool:
        found = (await cluster.get(STATEFUL_SETS, "db")).get("status") or {}
        images = [p["spec"]["containers"][0]["image"] for p in await cluster.all(PODS)]
        return found.get("readyReplicas") == 3 and images == [image] * 3

    await cluster.until(lambda: ready("app:1"))
    assert [name_of(c) for c in await cluster.all(PERSISTENT_VOLUME_CLAIMS)] == [f"data-db-{n}" for n in range(3)]
    await cluster.client.patch(STATEFUL_SETS, "db", "default", {"spec": {"template": pod_template("app:2")}})
    await cluster.until(lambda: ready("app:2"))


async def test_daemon_set_on_every_node(cluster: Cluster) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set())

    async def everywhere(count: int) -> bool:
        found = (await cluster.get(DAEMON_SETS, "agent")).get("status") or {}
        return found.get("numberAvailable") == count == found["updatedNumberScheduled"]

    await cluster.until(lambda: everywhere(2))
    await cluster.add_node("node-3")
    await cluster.until(lambda: everywhere(3))
    await cluster.client.patch(DAEMON_SETS, "agent", "default", {"spec": {"template": pod_template("app:2")}})

    async def updated() -> bool:
        images = {p["spec"]["containers"][0]["image"] for p in await cluster.all(PODS)}
        return images == {"app:2"} and await everywhere(3)

    await cluster.until(updated)


def plain_job(name: str, **spec: Any) -> Object:
    template = {"spec": {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"template": template, **spec}}


async def ended(cluster: Cluster, name: str) -> str:
    conditions = ((await cluster.get(JOBS, name)).get("status") or {}).get("conditions")
    return next((c["reason"] for c in conditions or () if c["type"] in ("Complete", "Failed")), "")


async def test_jobs_complete_fail_and_index(cluster: Cluster) -> None:
    cluster.exit_code = 0
    await cluster.client.create(JOBS, plain_job("good", completions=4, parallelism=2))
    await cluster.client.create(JOBS, plain_job("each", completions=3, parallelism=3, completionMode="Indexed"))
    for name in ("good", "each"):
        await cluster.until(lambda n=name: _is(ended(cluster, n), "CompletionsReached"))
    status = (await cluster.get(JOBS, "each"))["status"]
    assert (status["completedIndexes"], status["succeeded"]) == ("0-2", 3)
    cluster.exit_code = 1
    await cluster.client.create(JOBS, plain_job("bad", backoffLimit=0))
    await cluster.until(lambda: _is(ended(cluster, "bad"), "BackoffLimitExceeded"))
    await cluster.client.delete(JOBS, "good", "default", propagation="Background")

    async def pods_gone() -> bool:
        return not [p for p in await cluster.all(PODS) if p["metadata"]["labels"].get("job-name") == "good"]

    await cluster.until(pods_gone)


@pytest.mark.slow
async def test_cron_job_makes_jobs(cluster: Cluster) -> None:
    cluster.exit_code = 0
    spec = {"schedule": "@every 1s", "jobTemplate": {"spec": plain_job("x")["spec"]}, "successfulJobsHistoryLimit": 1}
    await cluster.client.create(CRON_JOBS, {"metadata": {"name": "tick", "namespace": "default"}, "spec": spec})

    async def done() -> bool:
        return bool(((await cluster.get(CRON_JOBS, "tick")).get("status") or {}).get("lastSuccessfulTime"))

    await cluster.until(done)


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
@pytest.mark.slow
async def test_cron_job_says_that_its_active_job_went_missing(cluster: Cluster, propagation: str) -> None:
    spec = {"schedule": "@every 1s", "jobTemplate": {"spec": plain_job("x")["spec"]}, "concurrencyPolicy": "Forbid"}
    await cluster.client.create(CRON_JOBS, {"metadata": {"name": "tick", "namespace": "default"}, "spec": spec})

    async def active() -> bool:
        return bool(((await cluster.get(CRON_JOBS, "tick")).get("status") or {}).get("active"))

    await cluster.until(active)
    [job] = (await cluster.get(CRON_JOBS, "tick"))["status"]["active"]
    await cluster.client.delete(JOBS, job["name"], "default", propagation=propagation)

    async def told() -> bool:
        return "MissingJob" in [event["reason"] for event in await cluster.all(EVENTS)]

    await cluster.until(told)


async def _is(found: Any, expected: str) -> bool:
    return bool(await found == expected)
