"""`wherry up` on an empty folder to node Ready; and to the first application that answers by its DNS name.

Usage: python bench/cluster_up.py [--runs 7] [--small] [--record]    needs root, crun, conmon, nftables, busybox-static
The application: a Deployment of busybox httpd behind a Service, and a pod that fetches http://web.default.svc.cluster.local/
until it answers and then succeeds; it counts from the start of `wherry up` until the watch says so. The image is local.
Medians of the runs, each on a cluster of its own; the slowest run beside it. `up_again` is after `kill -9` of every process.
"""

import asyncio
import os
import signal
import statistics
import time
from typing import Any

import figures
from cluster import Cluster, cluster, default_account, pod, wherry

from wherry.orchestration.objects.kinds import DEPLOYMENTS, PODS, SERVICES

LIMIT_S = 30.0
PAGE = "httpd -f -p 8080 -h /etc"
# wget of the static busybox cannot look names up (glibc wants its NSS modules); nslookup speaks DNS itself.
FETCH = r"""
until address=$(nslookup web.default.svc.cluster.local | sed -n '4,$s/^Address: *//p') && [ -n "$address" ] &&
    printf 'GET /passwd HTTP/1.0\r\n\r\n' | nc -w 1 "$address" 80 | grep -q root
do usleep 10000; done
"""
PORTS = [{"port": 80, "targetPort": 8080}]


def application() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Deployment, Service, and the pod that asks."""
    server = pod("", "sh", "-c", PAGE, labels={"app": "web"})
    template = {"metadata": {"labels": {"app": "web"}}, "spec": server["spec"]}
    deployment = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": "web"}, "ports": PORTS}}
    client = pod("ask", "sh", "-c", FETCH)
    client["spec"]["restartPolicy"] = "Never"
    return deployment, service, client


async def until_answered(one: Cluster) -> None:
    """Deploy, and return when the asking pod has its answer."""
    deployment, service, client = application()
    await one.client.create(SERVICES, service)
    await one.client.create(DEPLOYMENTS, deployment)
    await default_account(one.client)
    made = await one.client.create(PODS, client)
    revision = made["metadata"]["resourceVersion"]
    async with asyncio.timeout(LIMIT_S):
        async for event in one.client.watch(PODS, "default", revision=revision, fields="metadata.name=ask"):
            if (event.object.get("status") or {}).get("phase") == "Succeeded":
                return


async def one_run() -> tuple[float, float, float]:
    """(Ready, answered, Ready again after kill -9) in seconds."""
    async with cluster() as one:
        began_at = time.perf_counter()
        await until_answered(one)
        answered_s = one.ready_s + time.perf_counter() - began_at
        for pid in one.pids().values():
            os.kill(pid, signal.SIGKILL)
        began_at = time.perf_counter()
        kubeconfig = str(one.settings.data_dir.parent / "kubeconfig")
        await wherry("up", "--data-dir", str(one.settings.data_dir), "--kubeconfig", kubeconfig)
        return one.ready_s, answered_s, time.perf_counter() - began_at


async def measure(options: figures.Options) -> figures.Figures:
    runs = [await one_run() for _ in range(1 if options.small else options.runs)]
    found: dict[str, tuple[float, str]] = {}
    for name, values in zip(("up_to_ready", "up_to_first_answer", "up_again"), zip(*runs, strict=True), strict=True):
        found[name] = (statistics.median(values), "s")
        found[f"{name}_slowest"] = (max(values), "s")
    return found


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--runs", type=int, default=7)
    figures.run(flags, measure)
