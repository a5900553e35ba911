"""A whole cluster, started by the command a user types, for tests that drive it with real clients."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from wherry.testing.ports import free_port
from wherry.testing.ranges import cluster_ranges

ROOT = Path(__file__).parent.parent.parent
CLIENTS = ROOT / ".cache" / "clients"
WHERRY = ROOT / ".venv" / "bin" / "wherry"
COMMAND_LIMIT_S = 120


@dataclass(frozen=True)
class Cluster:
    """Handles of a running cluster."""

    data_dir: Path
    kubeconfig: Path
    api_port: int
    http_port: int

    def run(self, *argv: str, stdin: str = "", check: bool = True, limit_s: float = COMMAND_LIMIT_S) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv, input=stdin, text=True, capture_output=True, timeout=limit_s,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.data_dir.parent)},
        )
        if check:
            assert done.returncode == 0, f"{argv}: code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def kubectl(self, *args: str, stdin: str = "", check: bool = True, limit_s: float = COMMAND_LIMIT_S) -> subprocess.CompletedProcess[str]:
        return self.run(str(CLIENTS / "kubectl"), *args, stdin=stdin, check=check, limit_s=limit_s)

    def old_kubectl(self, *args: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(str(CLIENTS / "kubectl-1.30"), *args, stdin=stdin, check=check)

    def helm(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(str(CLIENTS / "helm"), *args, check=check)

    def wherry(self, *args: str, check: bool = True, limit_s: float = COMMAND_LIMIT_S) -> subprocess.CompletedProcess[str]:
        verb, *rest = args
        return self.run(str(WHERRY), verb, "--data-dir", str(self.data_dir), *rest, check=check, limit_s=limit_s)


@dataclass(frozen=True)
class Kubectl:
    """One kubectl binary that works in one namespace."""

    cluster: Cluster
    binary: str
    namespace: str

    def __call__(self, *args: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.cluster.run(*self.argv(*args), stdin=stdin, check=check)

    def argv(self, *args: str) -> tuple[str, ...]:
        """The whole command line, for what the caller starts itself."""
        return str(CLIENTS / self.binary), "--kubeconfig", str(self.cluster.kubeconfig), "-n", self.namespace, *args

    @contextmanager
    def running(self, *args: str) -> Iterator[TextIO]:
        """The command in the background; what it prints can be read. Ended when the block ends."""
        with subprocess.Popen(self.argv(*args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
            finally:
                process.terminate()
                process.wait(10)


def make_cluster(folder: Path, *flags: str) -> Cluster:
    ports = {name: free_port() for name in ("api", "node", "registry", "gateway-http", "gateway-https")}
    pods, services = cluster_ranges()
    cluster = Cluster(folder / "data", folder / "kubeconfig", ports["api"], ports["gateway-http"])
    cluster.wherry(
        "up", "--unenforced-policies", "warn", "--pod-cidr", pods, "--service-cidr", services, "--kubeconfig", str(cluster.kubeconfig),
        *(f"--{name}-port={port}" for name, port in ports.items()), *flags,
    )
    return cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster for the whole session, with a gateway; purged at the end, also after a failure."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-test-", dir="/var/tmp"))
    try:
        made = make_cluster(folder)
        made.wherry("assemble", "busybox")
        yield made
    finally:
        subprocess.run([str(WHERRY), "down", "--purge", "--data-dir", str(folder / "data"), "--kubeconfig", str(folder / "kubeconfig")],
                       timeout=120, check=False)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own; its deletion is asked for at the end and not waited for."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def run(cluster: Cluster, namespace: str) -> Kubectl:
    """The newest kubectl."""
    return Kubectl(cluster, "kubectl", namespace)


@pytest.fixture(params=["kubectl", "kubectl-1.30"], ids=["1.37", "1.30"])
def kubectl(request: pytest.FixtureRequest, cluster: Cluster, namespace: str) -> Kubectl:
    """Both kubectls, one after the other."""
    return Kubectl(cluster, request.param, namespace)
