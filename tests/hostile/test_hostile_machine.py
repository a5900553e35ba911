"""What a user of the machine who is nobody sees and reaches of a running cluster, and what a tenant's pod does of the machine."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wherry.assembly import settings, supervisor
from wherry.assembly.address import node_address
from wherry.assembly.node import NodeSettings
from wherry.testing.ports import free_port
from wherry.testing.ranges import cluster_ranges

pytestmark = [pytest.mark.node, pytest.mark.cluster]

ROOT = Path(__file__).parent.parent.parent
KUBECTL, WHERRY = ROOT / ".cache" / "clients" / "kubectl", ROOT / ".venv" / "bin" / "wherry"
SECRET = "a-secret-of-this-test"
NOBODY = 65534
POD = f"""
apiVersion: v1
kind: Pod
metadata: {{name: victim, namespace: default}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: wherry.local/busybox:1.35
    env: [{{name: PASSWORD, value: {SECRET}}}]
    command: [sh, -c, "cp /bin/busybox /suid; chmod 4755 /suid; mknod /device b 7 0; chmod 666 /device; cat /proc/self/cgroup; echo made; sleep 3600"]
"""
# Walks as nobody: prints what of the trees given can be entered or read, and what a set-user-ID file there makes of us.
WALK = """
import os, subprocess, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for tree in sys.argv[1:]:
    for folder, folders, files in os.walk(tree):
        print("entered", folder)
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                try:
                    open(path, "rb").close()
                    print("read", path)
                except OSError:
                    pass
"""


@dataclass(frozen=True)
class Cluster:
    folder: Path
    cluster: NodeSettings

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run([KUBECTL, "--kubeconfig", self.folder / "kubeconfig", *words], input=stdin, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + done.stderr


def eventually(check: Callable[[], bool], what: str, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """A cluster with a pod; its data dir is of a mode that lets everybody in, as an operator may have made it."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-hostile-", dir="/var/tmp"))
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir(mode=0o755)
    pods, services = cluster_ranges()
    flags = [f"--{name}-port={free_port()}" for name in ("api", "node", "registry")]
    command = [WHERRY, "up", "--data-dir", data, "--kubeconfig", folder / "kubeconfig", "--no-gateway",
               "--pod-cidr", pods, "--service-cidr", services, *flags]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        made = Cluster(folder, settings.load(data))
        subprocess.run([WHERRY, "assemble", "--data-dir", data, "busybox"], check=True, capture_output=True, timeout=120)
        made.kubectl("apply", "-f", "-", stdin=POD)
        eventually(lambda: "made" in made.kubectl("logs", "victim", check=False), "the pod has made its files")
        uid = made.kubectl("get", "pod", "victim", "-o", "jsonpath={.metadata.uid}")
        yield made
        subprocess.run([WHERRY, "down", "--purge", "--data-dir", data, "--kubeconfig", folder / "kubeconfig"],
                       capture_output=True, timeout=120, check=True)
        assert not [path for path in Path("/var/log/pods").iterdir() if uid in path.name], "logs are left"
        assert not [path for path in Path("/var/log/containers").iterdir() if uid in os.readlink(path)], "links are left"
    finally:
        subprocess.run([WHERRY, "down", "--purge", "--data-dir", data, "--kubeconfig", folder / "kubeconfig"],
                       capture_output=True, timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


def as_nobody(program: str, *words: str) -> str:
    done = subprocess.run([sys.executable, "-I", "-c", program, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nobody_enters_or_reads_nothing_of_the_cluster(running: Cluster) -> None:
    cluster = running.cluster
    run_dir, data = str(cluster.run_dir), str(cluster.data_dir)
    walked = as_nobody(WALK, run_dir, data, *(f"{run_dir}/e/c/{name}" for name in os.listdir(f"{run_dir}/e/c")))
    assert walked == ""


def test_every_root_filesystem_is_without_set_user_id_and_devices_on_the_machine(running: Cluster) -> None:
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    roots = [line.split() for line in table if f"{running.cluster.run_dir}/" in line and line.split()[4].endswith("/rootfs")]
    assert roots and all({"nosuid", "nodev"} <= set(words[5].split(",")) for words in roots)


def test_the_container_itself_keeps_set_user_id(running: Cluster) -> None:
    assert "nosuid" not in running.kubectl("exec", "victim", "--", "sh", "-c", "grep ' / / ' /proc/self/mountinfo || head -1 /proc/self/mountinfo")


def test_a_container_does_not_see_where_the_machine_keeps_its_cgroup(running: Cluster) -> None:
    text = running.kubectl("logs", "victim")
    assert "kubepods" not in text and running.cluster.id not in text


def test_a_pod_and_all_pods_together_have_a_pids_limit(running: Cluster) -> None:
    root = Path(f"/sys/fs/cgroup/pids/wherry-{running.cluster.id}/kubepods")
    root = root if root.exists() else Path(f"/sys/fs/cgroup/wherry-{running.cluster.id}/kubepods")
    uid = running.kubectl("get", "pod", "victim", "-o", "jsonpath={.metadata.uid}")
    pod = next(root.rglob(f"pod{uid}"))
    assert (pod / "pids.max").read_text().strip() == "4096"
    assert (root / "pids.max").read_text().strip().isdigit()


def test_the_clusters_own_processes_are_the_last_the_kernel_kills(running: Cluster) -> None:
    scores = {}
    for name in ("supervisor", "server", "agent"):
        pid = supervisor.holder(supervisor.lock_path(running.cluster, name))
        scores[name] = int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    assert (set(scores.values()) == {-999}) is can_lower_oom_score(), scores


def can_lower_oom_score() -> bool:
    program = "import pathlib; pathlib.Path('/proc/self/oom_score_adj').write_text('-999')"
    return subprocess.run([sys.executable, "-I", "-c", program], capture_output=True).returncode == 0


def test_api_agent_and_registry_listen_on_loopback_and_the_nodes_address_only(running: Cluster) -> None:
    cluster = running.cluster
    for port in (cluster.api_port, cluster.node_port, cluster.registry_port):
        listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True).stdout.splitlines()
        hosts = {line.split()[3].rpartition(":")[0] for line in listening}
        assert hosts == {"127.0.0.1", node_address(cluster)}


def test_a_pod_that_wants_the_api_servers_port_is_refused_and_the_api_answers_on(running: Cluster) -> None:
    overrides = {"spec": {"containers": [{"name": "p", "image": "wherry.local/busybox:1.35", "ports": [
        {"containerPort": 80, "hostPort": running.cluster.api_port}]}]}}
    said = running.kubectl("run", "p", "--image=wherry.local/busybox:1.35", f"--overrides={json.dumps(overrides)}", check=False)
    assert "is reserved for the API server" in said
    assert running.kubectl("get", "--raw", "/readyz") == "ok"


def test_a_collector_finds_the_log_and_a_dashboard_its_figures(running: Cluster) -> None:
    uid = running.kubectl("get", "pod", "victim", "-o", "jsonpath={.metadata.uid}")
    assert "made" in Path(f"/var/log/pods/default_victim_{uid}/main/0.log").read_text()
    links = [path for path in Path("/var/log/containers").glob("victim_default_main-*.log") if uid in os.readlink(path)]
    assert len(links) == 1 and "made" in links[0].read_text()
    text = running.kubectl("get", "--raw", f"/api/v1/nodes/{running.cluster.node_name}/proxy/metrics/cadvisor")
    assert 'container_cpu_usage_seconds_total{container="main",cpu="total",id="/kubepods/besteffort/pod' in text


def test_a_bundle_holds_the_secret_so_that_these_tests_mean_something(running: Cluster) -> None:
    found = [path for path in Path(running.cluster.run_dir, "e", "c").glob("*/config.json") if SECRET in path.read_text()]
    suid = [path for path in Path(running.cluster.run_dir, "e", "c").glob("*/rootfs/suid") if path.stat().st_mode & 0o4000]
    assert found and suid
    with contextlib.suppress(FileNotFoundError):
        assert not Path(found[0]).stat().st_mode & 0o077 or not found[0].parent.stat().st_mode & 0o077
