"""Two machines, one cluster: the second joins with a token, pods run on both and reach each other by plain routes.

Each node has a network, a mount and a cgroup namespace of its own on this machine, and a wire between them.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import CLIENTS, WHERRY
from manifests import dump
from on_machine import eventually

from wherry.testing.ports import free_port

pytestmark = [pytest.mark.cluster, pytest.mark.node]

OWN = os.getpid() % 100
KINDS = ("net", "mount", "cgroup")
SERVE = "mkdir -p /tmp/w; echo $NODE > /tmp/w/index.html; echo up on $NODE; exec httpd -f -p 8080 -h /tmp/w"
WEB = {
    "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
        "terminationGracePeriodSeconds": 0, "containers": [{
            "name": "main", "image": "wherry.local/busybox:1.35", "command": ["sh", "-c", SERVE],
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}}]}}},
}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
           "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}


@dataclass(frozen=True)
class Place:
    """A machine of its own, as far as the kernel goes."""

    name: str
    address: str
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / self.name

    def run(self, *argv: object, stdin: str = "", check: bool = True, limit_s: float = 120) -> str:
        entered = [f"--{kind}={self.folder / 'namespaces' / f'{self.name}.{kind}'}" for kind in KINDS]
        done = subprocess.run(["nsenter", *entered, *map(str, argv)], input=stdin, text=True, capture_output=True, timeout=limit_s)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}\n{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def wherry(self, verb: str, *words: object, stdin: str = "", check: bool = True) -> str:
        return self.run(WHERRY, verb, "--data-dir", self.data, *words, stdin=stdin, check=check)

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> str:
        return self.run(CLIENTS / "kubectl", "--kubeconfig", self.folder / "kubeconfig", *words, stdin=stdin, check=check)

    def of_the_cluster(self) -> list[str]:
        """What of a cluster is on this machine: tables, links, routes to other nodes, mounts."""
        lines = self.run("nft", "list", "tables").splitlines() + self.run("ip", "-o", "link").splitlines()
        lines += [line for line in self.run("ip", "route").splitlines() if "10.244." in line]
        lines += self.run("cat", "/proc/self/mounts").splitlines()
        return [line for line in lines if any(mark in line for mark in (f"{self.data}/", "table ip wherry", "10.244."))]


@contextmanager
def wired(folder: Path) -> Iterator[tuple[Place, Place]]:
    """Two places and a wire between them."""
    namespaces = folder / "namespaces"
    namespaces.mkdir(parents=True)
    places = (Place("a", f"10.97.{OWN}.1", folder), Place("b", f"10.97.{OWN}.2", folder))
    subprocess.run(["mount", "--bind", namespaces, namespaces], check=True)
    try:
        subprocess.run(["mount", "--make-private", namespaces], check=True)
        for place in places:
            files = [namespaces / f"{place.name}.{kind}" for kind in KINDS]
            for file in files:
                file.touch()
            subprocess.run(["unshare", *(f"--{kind}={file}" for kind, file in zip(KINDS, files, strict=True)), "true"], check=True)
        one, other = (f"w2n{OWN}{place.name}" for place in places)
        subprocess.run(["ip", "link", "add", one, "type", "veth", "peer", "name", other], check=True)
        for place, link in zip(places, (one, other), strict=True):
            subprocess.run(["ip", "link", "set", link, "netns", namespaces / f"{place.name}.net"], check=True)
            place.run("ip", "link", "set", "lo", "up")
            place.run("ip", "address", "add", f"{place.address}/24", "dev", link)
            place.run("ip", "link", "set", link, "up")
        yield places
    finally:
        subprocess.run(f"umount -q {namespaces}/* ; umount -q {namespaces}", shell=True, check=False)


@pytest.fixture
def places() -> Iterator[tuple[Place, Place]]:
    folder = Path(tempfile.mkdtemp(prefix="wherry-two-", dir="/var/tmp"))
    try:
        with wired(folder) as (a, b):
            try:
                yield a, b
            finally:
                for place in (b, a):
                    place.wherry("down", "--purge", "--kubeconfig", folder / "kubeconfig", check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_second_machine_joins_and_pods_of_both_reach_each_other(places: tuple[Place, Place]) -> None:
    a, b = places
    ports = [f"--{name}-port={free_port()}" for name in ("node", "registry")]
    a.wherry("up", "--no-gateway", "--kubeconfig", a.folder / "kubeconfig", "--node-name", "node-a", "--node-address", a.address, *ports)
    made = json.loads(a.wherry("token", "create", "-o", "json"))
    said = b.wherry("join", made["address"], "--token", "-", "--node-name", "node-b", *ports, stdin=made["token"] + "\n")
    assert "node node-b has joined the cluster" in said
    subprocess.run([WHERRY, "assemble", "--data-dir", a.data, "busybox"], check=True, capture_output=True, timeout=120)

    rows = a.kubectl("get", "nodes", "-o", r"jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR}{'\n'}{end}").split()
    assert rows == ["node-a", "10.244.0.0/24", "node-b", "10.244.1.0/24"]
    a.kubectl("apply", "-f", "-", stdin=dump(WEB, SERVICE))
    eventually(lambda: "`wherry image load` it here" in a.kubectl("get", "pods", "-o", "yaml"), what="the other node says it has no image")
    a.wherry("image", "save", "wherry.local/busybox:1.35", "--to", a.folder / "image.tar")
    b.wherry("image", "load", a.folder / "image.tar")
    a.kubectl("delete", "pods", "--all")
    a.kubectl("rollout", "status", "daemonset/web", "--timeout=60s")
    pods = a.kubectl("get", "pods", "-o", r"jsonpath={range .items[*]}{.spec.nodeName} {.metadata.name} {.status.podIP} {end}").split()
    on = {pods[i]: (pods[i + 1], pods[i + 2]) for i in range(0, len(pods), 3)}
    assert set(on) == {"node-a", "node-b"}

    # `exec` and `logs` go to the other node's agent, which serves with a certificate that the cluster signed.
    eventually(lambda: "up on node-b" in a.kubectl("logs", on["node-b"][0], check=False), what="the log of a pod on the other node")
    for here, there in (("node-a", "node-b"), ("node-b", "node-a")):
        assert a.kubectl("exec", on[here][0], "--", "wget", "-qO-", f"http://{on[there][1]}:8080/") == f"{there}\n"
        answers = {a.kubectl("exec", on[here][0], "--", "wget", "-qO-", "http://web/") for _ in range(12)}
        assert answers == {"node-a\n", "node-b\n"}, "the Service, by its name, has the pods of both"

    assert {file.name for file in (b.data / "identity").iterdir()} == {"ca.crt", "node.pem", "node-serving.pem"}
    assert not (b.data / "pki").exists(), "no signing key leaves the server's machine"
    assert "Ready" in b.wherry("status")
    b.wherry("down")
    b.wherry("up")
    a.kubectl("rollout", "status", "daemonset/web", "--timeout=60s")
    for place in (b, a):
        place.wherry("down", "--purge", "--kubeconfig", place.folder / "kubeconfig")
        assert place.of_the_cluster() == []
        assert not place.data.exists()
