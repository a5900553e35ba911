"""Any process can be killed at any moment: services keep answering, everything heals, nothing acknowledged is lost."""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from conftest import Cluster
from manifests import deployment, dump, service

pytestmark = [pytest.mark.cluster, pytest.mark.node]

HEAL_LIMIT_S = 60


def eventually(check: Callable[[], bool], *, limit_s: float = HEAL_LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline, f"not healed within {limit_s} s"
        time.sleep(0.1)


def pid_of(cluster: Cluster, name: str) -> int:
    found = json.loads(cluster.wherry("status", "-o", "json", check=False).stdout)
    return next((int(p["pid"]) for p in found["processes"] if p["name"] == name), 0)


class Customer(threading.Thread):
    """Asks again and again through the gateway, each time on a new connection, and counts."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.good, self.bad, self.stopped = url, 0, [], threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.02):
            try:
                request = urllib.request.Request(self.url, headers={"host": "chaos.local"})
                with urllib.request.urlopen(request, timeout=5) as answer:
                    answer.read()
                self.good += 1
            except (urllib.error.URLError, OSError) as error:
                self.bad.append(f"{time.monotonic():.2f} {error}")


@pytest.fixture(scope="module")
def url(cluster: Cluster) -> Iterator[str]:
    route = {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"rules": [{"host": "chaos.local", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"name": "http"}}}}]}}]},
    }
    cluster.kubectl("create", "namespace", "chaos")
    cluster.kubectl("-n", "chaos", "apply", "-f", "-", stdin=dump(deployment("web", 2), service("web"), route))
    cluster.kubectl("-n", "chaos", "rollout", "status", "deployment/web", "--timeout=90s")
    address = f"http://127.0.0.1:{cluster.http_port}/"
    customer = Customer(address)
    customer.start()
    eventually(lambda: customer.good > 0)
    customer.stopped.set()
    yield address
    cluster.kubectl("delete", "namespace", "chaos")


@pytest.mark.parametrize("component", ["server", "agent", "gateway"])
def test_killing_a_process_of_ours_costs_no_request_and_it_comes_back(cluster: Cluster, url: str, component: str) -> None:
    before = pid_of(cluster, component)
    customer = Customer(url)
    customer.start()
    eventually(lambda: customer.good >= 5)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: pid_of(cluster, component) not in (0, before))
    eventually(lambda: cluster.wherry("status", check=False).returncode == 0)
    good = customer.good
    eventually(lambda: customer.good > good + 20)
    customer.stopped.set()
    assert customer.bad == []


def test_envoy_killed_is_started_again_by_the_agent(cluster: Cluster, url: str) -> None:
    pids = cluster.run("pgrep", "-f", f"envoy.*{cluster.data_dir}|^/usr/.*envoy|^envoy", check=False).stdout.split()
    assert pids
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    customer = Customer(url)
    customer.start()
    eventually(lambda: customer.good > 20)
    customer.stopped.set()


def test_everything_killed_at_once_is_brought_back_by_wherry_up_and_nothing_is_lost(cluster: Cluster, url: str) -> None:
    containers = set(cluster.kubectl("-n", "chaos", "get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].containerID}").stdout.split())
    acknowledged = []
    for number in range(30):
        cluster.kubectl("-n", "chaos", "create", "configmap", f"kept-{number}", f"--from-literal=n={number}")
        acknowledged.append(f"configmap/kept-{number}")
        if number == 20:
            for name in ("supervisor", "server", "agent", "gateway"):
                os.kill(pid_of(cluster, name), signal.SIGKILL)
            break
    cluster.wherry("up", "--kubeconfig", str(cluster.kubeconfig))
    found = cluster.kubectl("-n", "chaos", "get", "configmaps", "-o", "name").stdout.split()
    assert set(acknowledged) <= set(found)
    after = set(cluster.kubectl("-n", "chaos", "get", "pods", "-o", "jsonpath={.items[*].status.containerStatuses[*].containerID}").stdout.split())
    assert after == containers, "containers run on and are adopted"
    customer = Customer(url)
    customer.start()
    eventually(lambda: customer.good > 20)
    customer.stopped.set()
