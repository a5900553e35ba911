"""A whole cluster for the attacks: who its processes are, what they keep in memory, what they acknowledged, how to end them."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wherry.assembly import daemon, settings, supervisor
from wherry.assembly.node import NodeSettings
from wherry.testing.ports import free_port
from wherry.testing.ranges import cluster_ranges

ROOT = Path(__file__).parent.parent.parent
KUBECTL, WHERRY = ROOT / ".cache" / "clients" / "kubectl", ROOT / ".venv" / "bin" / "wherry"
OURS = ("supervisor", "server", "agent", "gateway")
IMAGE = "wherry.local/busybox:1.35"
MEBIBYTE = 1 << 20


def eventually(check: Callable[[], bool], what: str, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


@dataclass(frozen=True)
class Victim:
    """A running cluster that is attacked."""

    folder: Path
    settings: NodeSettings

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(self.argv(*words), input=stdin, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + ("" if check else done.stderr)

    def argv(self, *words: str) -> list[str]:
        return [str(KUBECTL), "--kubeconfig", str(self.folder / "kubeconfig"), *words]

    def pid(self, component: str) -> int:
        """0 while it does not run."""
        return supervisor.holder(supervisor.lock_path(self.settings, component))

    def pids(self) -> dict[str, int]:
        return {name: self.pid(name) for name in OURS}

    def kill(self, *names: str) -> None:
        """SIGKILL, all in one moment; returns when other processes have taken their places.

        After the end of all of them nobody is left to start them: that is for `wherry up`, with no word said to it."""
        for name in names:
            eventually(lambda name=name: self.pid(name) != 0, f"{name} runs")  # type: ignore[misc]
        dead = {name: self.pid(name) for name in names}
        for pid in dead.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if set(names) == set(OURS):
            subprocess.run([WHERRY, "up", "--data-dir", self.settings.data_dir, "--kubeconfig", self.folder / "kubeconfig"],
                           check=True, capture_output=True, timeout=120)
        for name, pid in dead.items():
            eventually(lambda name=name, pid=pid: self.pid(name) not in (0, pid), f"{name} runs again")  # type: ignore[misc]

    def memory_bytes(self, component: str) -> int:
        """Proportional set size."""
        lines = Path(f"/proc/{self.pid(component)}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))

    def is_well(self) -> bool:
        done = subprocess.run([WHERRY, "status", "--data-dir", self.settings.data_dir], capture_output=True, timeout=60)
        return all(self.pids().values()) and done.returncode == 0

    def container_id(self, pod: str) -> str:
        return self.kubectl("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")

    def run_pod(self, name: str, script: str) -> None:
        """A pod of one container; returns when it runs."""
        spec = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}]}
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


@contextmanager
def victim() -> Iterator[Victim]:
    """A cluster with a gateway and the busybox image, purged at the end; fails when it leaves anything."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-hostile-", dir="/var/tmp"))
    data, (pods, services) = folder / "data", cluster_ranges()
    where = ["--data-dir", str(data)]
    down = [str(WHERRY), "down", "--purge", *where, "--kubeconfig", str(folder / "kubeconfig")]
    flags = [f"--{name}-port={free_port()}" for name in ("api", "node", "registry", "gateway-http", "gateway-https")]
    try:
        done = subprocess.run(
            [WHERRY, "up", *where, "--kubeconfig", folder / "kubeconfig", "--pod-cidr", pods,
             "--service-cidr", services, *flags], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        made = Victim(folder, settings.load(data))
        subprocess.run([WHERRY, "assemble", *where, "busybox"], check=True, capture_output=True, timeout=120)
        yield made
        subprocess.run(down, capture_output=True, timeout=120, check=True)
        assert not made.settings.run_dir.exists() and not any(made.pids().values()), "something is left"
    finally:
        subprocess.run(down, capture_output=True, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


class Writer(threading.Thread):
    """Creates ConfigMaps one after the other and remembers those the API server acknowledged."""

    def __init__(self, on: Victim) -> None:
        super().__init__(daemon=True)
        self.settings = on.settings
        self.acknowledged: list[str] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        tls, number = daemon.tls_context(self.settings), 0
        while not self.stopped.is_set():
            number += 1
            if self.create(tls, f"kept-{number}"):
                self.acknowledged.append(f"kept-{number}")
            self.stopped.wait(0.02)

    def create(self, tls: ssl.SSLContext, name: str) -> bool:
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
        connection = http.client.HTTPSConnection("127.0.0.1", self.settings.api_port, timeout=5, context=tls)
        try:
            connection.request("POST", "/api/v1/namespaces/default/configmaps", body, {"Content-Type": "application/json"})
            return connection.getresponse().status == 201
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
