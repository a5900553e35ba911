"""What goes wrong gets a message a user can act on. docs/bad-day.md shows the same table to people."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import WHERRY, Cluster
from manifests import deployment, dump, pod

pytestmark = [pytest.mark.cluster, pytest.mark.node]


def eventually(check: Callable[[], bool], *, limit_s: float = 40) -> None:
    deadline = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"bad-{time.monotonic_ns() % 10**9}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize(("change", "text"), [
    pytest.param({"replicas": "three"}, "replicas", id="wrong type"),
    pytest.param({"replicas": -1}, "must be greater than or equal to 0", id="out of range"),
    pytest.param({"selector": {"matchLabels": {"app": "other"}}}, "`selector` does not match template `labels`", id="selector mismatch"),
])
def test_an_invalid_manifest_is_refused_with_field_and_reason(cluster: Cluster, namespace: str, change: dict[str, object], text: str) -> None:
    bad = deployment("web")
    bad["spec"].update(change)
    refused = cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(bad), check=False)
    assert refused.returncode != 0 and text in refused.stderr
    assert cluster.kubectl("-n", namespace, "get", "deployments", "-o", "name").stdout == ""


def test_an_image_that_is_not_there_says_so_in_status_and_events(cluster: Cluster, namespace: str) -> None:
    run = lambda *a, **k: cluster.kubectl("-n", namespace, *a, **k)  # noqa: E731
    missing = pod("lost", ["true"])
    missing["spec"]["containers"][0]["image"] = "wherry.local/no-such-image:1"
    run("apply", "-f", "-", stdin=dump(missing))
    eventually(lambda: any(word in run("get", "pods").stdout for word in ("ErrImagePull", "ImagePullBackOff")))
    assert "no-such-image" in run("describe", "pod", "lost").stdout


def test_a_crashing_container_backs_off_and_shows_its_exit_code(cluster: Cluster, namespace: str) -> None:
    run = lambda *a, **k: cluster.kubectl("-n", namespace, *a, **k)  # noqa: E731
    run("apply", "-f", "-", stdin=dump(pod("crash", ["sh", "-c", "echo going down; exit 3"])))
    eventually(lambda: "CrashLoopBackOff" in run("get", "pods").stdout)
    described = run("describe", "pod", "crash").stdout
    assert "Exit Code:    3" in described and "Back-off restarting failed container" in described
    assert "going down" in run("logs", "crash", "--previous").stdout


def test_a_namespace_deleted_under_load_ends(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=dump(*(deployment(f"web-{n}", 2) for n in range(3))))
    cluster.kubectl("delete", "namespace", namespace, "--timeout=90s")
    refused = cluster.kubectl("-n", namespace, "create", "configmap", "late", check=False)
    assert "not found" in refused.stderr


def test_a_full_volume_is_an_error_inside_the_pod_not_of_the_machine(cluster: Cluster, namespace: str) -> None:
    run = lambda *a, **k: cluster.kubectl("-n", namespace, *a, **k)  # noqa: E731
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "small"},
             "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}}
    writer = pod("writer", ["sh", "-c", "dd if=/dev/zero of=/data/big bs=1M count=64; echo ended with $?"], restartPolicy="Never",
                 volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "small"}}])
    writer["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    run("apply", "-f", "-", stdin=dump(claim, writer))
    run("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/writer", "--timeout=60s")
    logs = run("logs", "writer").stdout
    assert "No space left on device" in logs and "ended with 1" in logs
    volume = run("get", "pvc", "small", "-o", "jsonpath={.spec.volumeName}").stdout
    run("delete", "pod/writer", "pvc/small")
    eventually(lambda: not (cluster.data_dir / "volumes" / volume).exists())


def test_a_pod_too_large_for_the_node_says_what_is_short(cluster: Cluster, namespace: str) -> None:
    run = lambda *a, **k: cluster.kubectl("-n", namespace, *a, **k)  # noqa: E731
    huge = pod("huge", ["true"])
    huge["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "999"}}
    run("apply", "-f", "-", stdin=dump(huge))
    eventually(lambda: "0/1 nodes are available: 1 Insufficient cpu" in run("describe", "pod", "huge").stdout)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="wherry-bad-", dir="/var/tmp"))
    yield made
    subprocess.run([str(WHERRY), "down", "--purge", "--data-dir", str(made / "data")], capture_output=True)
    shutil.rmtree(made, ignore_errors=True)


def up(folder: Path, *flags: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(WHERRY), "up", "--data-dir", str(folder / "data"), "--kubeconfig", str(folder / "kc"), "--no-gateway", *flags],
        text=True, capture_output=True, env={**os.environ, **env}, timeout=90,
    )


def test_a_taken_port_is_named_with_the_flag_that_mends_it_and_nothing_is_left(folder: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up(folder, f"--api-port={port}")
    assert refused.returncode == 1 and f"port {port}: taken" in refused.stderr and "--api-port" in refused.stderr
    assert not (folder / "data" / "pki").exists()


def test_missing_programs_are_named_with_the_command_that_installs_them(folder: Path) -> None:
    (folder / "bin").mkdir()
    found = subprocess.run([str(WHERRY), "doctor", "--data-dir", str(folder / "data")], text=True, capture_output=True,
                           env={"PATH": str(folder / "bin"), "WHERRY_SYSTEM_PATH": str(folder / "bin")})
    assert found.returncode == 1 and "apt-get install -y conmon crun" in found.stdout


def test_without_root_the_message_says_to_use_sudo(folder: Path) -> None:
    os.chmod(folder, 0o777)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(WHERRY), "up", "--data-dir", str(folder / "data")],
                          text=True, capture_output=True)
    if "Permission denied" in done.stderr and "wherry up" not in done.stderr:
        pytest.skip("this checkout cannot be read by other users")
    assert done.returncode == 1 and "run it with sudo" in done.stderr
