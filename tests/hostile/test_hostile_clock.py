"""The machine's clock jumps a day ahead and back: nothing crashes, workloads converge, no CronJob makes up for a day."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from scale import LIMIT_S, count

from wherry.kit.clock import SystemClock
from wherry.orchestration.apiserver.user import ADMIN
from wherry.orchestration.controllers.cronjob.loop import Controller as CronJobs
from wherry.orchestration.controllers.daemonset.loop import Controller as DaemonSets
from wherry.orchestration.controllers.deployment.loop import Controller as Deployments
from wherry.orchestration.controllers.job.loop import Controller as Jobs
from wherry.orchestration.controllers.lease_cleanup.loop import Controller as LeaseCleanup
from wherry.orchestration.controllers.node_lifecycle.loop import Controller as NodeLifecycle
from wherry.orchestration.controllers.replicaset.loop import Controller as ReplicaSets
from wherry.orchestration.controllers.taint_eviction.loop import Controller as TaintEviction
from wherry.orchestration.objects.kinds import CRON_JOBS, DEPLOYMENTS, JOBS, NODES, PODS
from wherry.orchestration.objects.meta import Object
from wherry.testing.api import api_server
from wherry.testing.cluster_objects import deployment
from wherry.testing.control_plane import ControlPlane, control_plane

JUMPS = count(6, 400)
DAY = timedelta(days=1)
CRON_JOB = {"metadata": {"name": "minutely", "namespace": "default"}, "spec": {
    "schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "app:1"}]}}}}}}

pytestmark = pytest.mark.timeout(LIMIT_S)


class JumpingClock(SystemClock):
    """Wall time is moved; time that passes is not, as with a machine whose date is set."""

    def __init__(self) -> None:
        self.moved = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.moved


def jumps() -> Iterator[timedelta]:
    for number in range(JUMPS):
        yield (DAY, timedelta(0), -DAY)[number % 3]


@pytest.mark.slow
async def test_workloads_converge_and_cron_jobs_run_once_over_jumps_of_a_day() -> None:
    clock = JumpingClock()
    kinds = (CronJobs, Deployments, ReplicaSets, DaemonSets, Jobs, LeaseCleanup, NodeLifecycle, TaintEviction)
    async with control_plane(*kinds, clock=clock) as on:
        await on.node()
        await on.client.create(DEPLOYMENTS, deployment("web", 1))
        await on.client.create(CRON_JOBS, CRON_JOB)
        for number, moved in enumerate(jumps()):
            clock.moved = moved
            await on.client.patch(CRON_JOBS, "minutely", "default", {"metadata": {"labels": {"look": str(number)}}})
            wanted = 1 + (number + 1) % 3
            await on.client.patch(DEPLOYMENTS, "web", "default", {"spec": {"replicas": wanted}})
            await on.until(lambda wanted=wanted: has_pods(on, wanted))  # type: ignore[misc]
            await on.until(lambda: on.all(JOBS))  # the first day ahead brings one
        runs = await on.all(JOBS)
        # One for the first day ahead, one for each minute that passed while the clock was right.
        assert len(runs) <= 2 + LIMIT_S // 60, [run["metadata"]["name"] for run in runs]
        node = await on.find(NODES, "node-1")
        assert node is not None and ready_of(node) == "True" and not node["spec"].get("taints")


async def has_pods(on: ControlPlane, wanted: int) -> bool:
    found = await on.find(DEPLOYMENTS, "web") or {}
    pods = [pod for pod in await on.all(PODS, labels="app=web") if "deletionTimestamp" not in pod["metadata"]]
    return found["status"].get("observedGeneration") == found["metadata"]["generation"] and len(pods) == wanted


def ready_of(node: Object) -> str:
    return next(str(row["status"]) for row in node["status"]["conditions"] if row["type"] == "Ready")


async def test_a_token_ends_a_day_ahead_and_is_good_again_when_the_clock_is() -> None:
    clock = JumpingClock()
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    async with api_server(clock=clock, listen=True) as api:
        _, made = await api.call("POST", path, {"spec": {"expirationSeconds": 3600}})
        review = {"spec": {"token": made["status"]["token"]}}
        seen = []
        for moved in (timedelta(0), DAY, timedelta(0)):
            clock.moved = moved
            _, said = await api.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review, user=ADMIN)
            seen.append(said["status"].get("authenticated", False))
        assert seen == [True, False, True]
