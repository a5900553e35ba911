"""Any process can be killed at any moment: services keep answering, everything heals, nothing acknowledged is lost."""

import http.client
import json
import os
import random
import signal
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Cluster, make_cluster
from manifests import deployment, dump, pod, service
from on_machine import eventually, kill, lose_power, pid_of, processes, purge

from wherry.assembly import daemon, settings

pytestmark = [pytest.mark.cluster, pytest.mark.node]

OURS = ("supervisor", "server", "agent", "gateway")
STORM_ROUNDS = 12
ENVOY_KILLS, ENVOY_BACK_S_MAX = 3, 9.0  # less than the shortest back-off
NAMESPACE = "chaos"
ROUTE = {
    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
    "spec": {"rules": [{"host": "chaos.local", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}]}}]},
}


class Customer(threading.Thread):
    """Asks again and again through the gateway, each time on a new connection, and counts."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.good, self.stopped = url, 0, threading.Event()
        self.bad: list[str] = []

    def run(self) -> None:
        while not self.stopped.wait(0.02):
            try:
                request = urllib.request.Request(self.url, headers={"host": "chaos.local"})
                with urllib.request.urlopen(request, timeout=5) as answer:
                    answer.read()
                self.good += 1
            except (urllib.error.URLError, OSError) as error:
                self.bad.append(f"{time.monotonic():.2f} {error}")


@contextmanager
def customer(url: str) -> Iterator[Customer]:
    made = Customer(url)
    made.start()
    try:
        eventually(lambda: made.good >= 5, what="the first answers")
        yield made
    finally:
        made.stopped.set()
        made.join()


class Writer(threading.Thread):
    """Creates ConfigMaps one after the other and remembers those the API server acknowledged."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.settings = settings.load(cluster.data_dir)
        self.acknowledged: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        tls = daemon.tls_context(self.settings)
        number = 0
        while not self.stopped.is_set():
            number += 1
            if self.create(tls, f"kept-{number}"):
                self.acknowledged.append(f"configmap/kept-{number}")

    def create(self, tls: ssl.SSLContext, name: str) -> bool:
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
        connection = http.client.HTTPSConnection("127.0.0.1", self.settings.api_port, timeout=5, context=tls)
        try:
            connection.request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", body, {"Content-Type": "application/json"})
            return connection.getresponse().status == 201
        except (OSError, http.client.HTTPException):
            self.stopped.wait(0.02)
            return False
        finally:
            connection.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of this file's own: what is killed here must not be in the way of other tests."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-chaos-", dir="/var/tmp"))
    try:
        made = make_cluster(folder)
        made.wherry("assemble", "busybox")
        made.kubectl("create", "namespace", NAMESPACE)
        yield made
    finally:
        purge(folder)


@pytest.fixture(scope="module")
def url(cluster: Cluster) -> str:
    run(cluster, "apply", "-f", "-", stdin=dump(deployment("web", 2), service("web"), ROUTE))
    run(cluster, "rollout", "status", "deployment/web", "--timeout=90s")
    address = f"http://127.0.0.1:{cluster.http_port}/"
    asked = Customer(address)
    asked.start()
    eventually(lambda: asked.good > 0, what="the gateway answers")
    asked.stopped.set()
    return address


def run(cluster: Cluster, *args: str, stdin: str = "") -> str:
    return cluster.kubectl("-n", NAMESPACE, *args, stdin=stdin).stdout


def is_well(cluster: Cluster) -> bool:
    return all(pid_of(cluster, name) for name in OURS) and cluster.wherry("status", check=False).returncode == 0


def containers(cluster: Cluster, selector: str = "app=web") -> set[str]:
    ids = "jsonpath={.items[*].status.containerStatuses[*].containerID}"
    return set(run(cluster, "get", "pods", "-l", selector, "-o", ids).split())


def monitored(cluster: Cluster) -> set[str]:
    """Ids of the containers that have a conmon."""
    return {command.split("--cid ")[1].split()[0] for command in processes(cluster.data_dir, "conmon").values()}


def ready(cluster: Cluster, name: str) -> int:
    return int(run(cluster, "get", "deployment", name, "-o", "jsonpath={.status.readyReplicas}") or 0)


@pytest.mark.parametrize("component", OURS)
def test_killing_a_process_of_ours_costs_no_request_and_it_comes_back_by_itself(cluster: Cluster, url: str, component: str) -> None:
    before = containers(cluster)
    with customer(url) as asking:
        dead = kill(cluster, component)[component]
        eventually(lambda: pid_of(cluster, component) not in (0, dead), what=f"{component} runs again")
        eventually(lambda: is_well(cluster), what="the cluster is well")
        good = asking.good
        eventually(lambda: asking.good > good + 20, what="more answers")
    assert asking.bad == []
    assert containers(cluster) == before, "containers run on and are adopted"


def test_a_storm_of_kills_loses_no_acknowledged_object_and_no_request(cluster: Cluster, url: str) -> None:
    chance = random.Random(20)
    writer = Writer(cluster)
    with customer(url) as asking:
        writer.start()
        for _ in range(STORM_ROUNDS):
            kill(cluster, chance.choice(OURS))
            writer.stopped.wait(chance.uniform(0.05, 0.6))
        eventually(lambda: is_well(cluster), what="the cluster is well")
        count = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > count + 5, what="more writes")
        writer.stopped.set()
        writer.join()
    assert asking.bad == []
    assert set(writer.acknowledged) <= set(run(cluster, "get", "configmaps", "-o", "name").split())


def test_everything_of_ours_killed_at_once_is_brought_back_by_up_with_the_same_containers(cluster: Cluster, url: str) -> None:
    before = containers(cluster)
    run(cluster, "create", "configmap", "last-word")
    with customer(url) as asking:
        kill(cluster, *OURS)
        eventually(lambda: not any(pid_of(cluster, name) for name in OURS), what="all dead")
        refused = cluster.wherry("status", check=False)
        assert refused.returncode == 3 and "bring it back with: wherry up" in refused.stdout
        cluster.wherry("up", "--kubeconfig", str(cluster.kubeconfig))
    assert asking.bad == []
    assert containers(cluster) == before
    assert run(cluster, "get", "configmap", "last-word", "-o", "name") == "configmap/last-word\n"


def envoys(cluster: Cluster) -> set[int]:
    names = ((pid, Path(f"/proc/{pid}/comm")) for pid in processes(cluster.data_dir))
    return {pid for pid, name in names if name.exists() and name.read_text() == "envoy\n"}


def test_envoy_killed_three_times_in_a_row_is_back_within_seconds_each_time(cluster: Cluster, url: str) -> None:
    """Restart back-off (10 s, then 20 s, then 40 s) would be seen from the second kill on."""
    for kills in range(ENVOY_KILLS):
        before = envoys(cluster)
        assert before
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda gone=before: envoys(cluster) - gone != set() and not envoys(cluster) & gone,  # type: ignore[misc]
                   limit_s=ENVOY_BACK_S_MAX, what=f"Envoy runs again after kill {kills + 1}")
        with customer(url) as asking:
            eventually(lambda asking=asking: asking.good > 20, what="Envoy answers again")  # type: ignore[misc]


@pytest.mark.parametrize("victim", ["httpd", "conmon"])
def test_a_killed_container_or_its_monitor_costs_one_restart(cluster: Cluster, victim: str) -> None:
    run(cluster, "apply", "-f", "-", stdin=dump(deployment(f"lone-{victim}")))
    run(cluster, "rollout", "status", f"deployment/lone-{victim}", "--timeout=60s")
    (before,) = containers(cluster, f"app=lone-{victim}")
    container_id = before.removeprefix("wherry://")
    monitor = next(pid for pid, command in processes(cluster.data_dir, "conmon").items() if container_id in command)
    child = int(Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()[0])
    os.kill(monitor if victim == "conmon" else child, signal.SIGKILL)
    eventually(lambda: containers(cluster, f"app=lone-{victim}") not in ({before}, set()), what="another container")
    run(cluster, "rollout", "status", f"deployment/lone-{victim}", "--timeout=60s")
    restarts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
    assert run(cluster, "get", "pods", "-l", f"app=lone-{victim}", "-o", restarts) == "1"
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()
    run(cluster, "delete", "deployment", f"lone-{victim}")


def test_the_agent_killed_while_it_starts_thirty_pods_starts_each_exactly_once(cluster: Cluster) -> None:
    crowd = deployment("crowd", 30)
    crowd["spec"]["template"]["spec"]["containers"][0]["resources"] = {}
    before = len(monitored(cluster))
    run(cluster, "apply", "-f", "-", stdin=dump(crowd))
    for begun in (4, 15):
        eventually(lambda begun=begun: len(monitored(cluster)) >= before + begun, what=f"{begun} begun")  # type: ignore[misc]
        kill(cluster, "agent")
    eventually(lambda: ready(cluster, "crowd") == 30, what="30 pods ready")
    restarts = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
    assert set(run(cluster, "get", "pods", "-l", "app=crowd", "-o", restarts).split()) == {"0"}
    ids = "jsonpath={.items[*].status.containerStatuses[*].containerID}"
    eventually(lambda: {f"wherry://{one}" for one in monitored(cluster)} == set(cluster.kubectl("get", "pods", "-A", "-o", ids).stdout.split()),
               what="one monitor for each container a pod has, and no other")


def test_the_server_killed_in_the_middle_of_a_rollout_carries_it_on(cluster: Cluster) -> None:
    run(cluster, "set", "env", "deployment/crowd", "EDITION=2")
    updated = "jsonpath={.status.updatedReplicas}"
    eventually(lambda: int(run(cluster, "get", "deployment", "crowd", "-o", updated) or 0) >= 8, what="the rollout is under way")
    kill(cluster, "server")
    eventually(lambda: is_well(cluster), what="the cluster is well")
    run(cluster, "rollout", "status", "deployment/crowd", "--timeout=60s")
    run(cluster, "delete", "deployment", "crowd", "--cascade=foreground")
    eventually(lambda: "crowd" not in run(cluster, "get", "pods", "-o", "name"), what="its pods are gone")


def test_after_a_power_cut_up_starts_every_pod_again_and_volumes_keep_what_was_written(cluster: Cluster, url: str) -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "diary"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}}
    author = pod("author", ["sh", "-c", "[ -e /data/day ] || { echo one > /data/day; sync; }; exec sleep 3600"],
                 volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "diary"}}])
    author["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    run(cluster, "apply", "-f", "-", stdin=dump(claim, author))
    run(cluster, "wait", "--for=condition=Ready", "pod/author", "--timeout=60s")
    eventually(lambda: run(cluster, "exec", "author", "--", "cat", "/data/day") == "one\n", what="the first words")
    lose_power(cluster.data_dir)
    cluster.wherry("up", "--kubeconfig", str(cluster.kubeconfig))
    run(cluster, "wait", "--for=condition=Ready", "pod/author", "--timeout=60s")
    run(cluster, "rollout", "status", "deployment/web", "--timeout=60s")
    assert run(cluster, "exec", "author", "--", "cat", "/data/day") == "one\n"
    with customer(url) as asking:
        eventually(lambda: asking.good > 20, what="the gateway answers again")
    layers = cluster.data_dir / "runtime" / "containers"
    eventually(lambda: {folder.name for folder in layers.iterdir()} == monitored(cluster), what="what dead containers wrote is gone")
