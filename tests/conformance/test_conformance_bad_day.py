"""What goes wrong gets a message a user can act on. docs/bad-day.md shows the same table to people."""

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import CLIENTS, WHERRY, Cluster, make_cluster
from manifests import deployment, dump, pod, service
from on_machine import eventually, kill, leftovers, purge

from wherry.assembly import settings
from wherry.assembly.node import NodeSettings
from wherry.testing.ranges import cluster_ranges, some_subnet

pytestmark = [pytest.mark.cluster, pytest.mark.node]


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


@pytest.mark.parametrize(("flag", "code", "text"), [
    pytest.param("strict", 1, 'strict decoding error: unknown field "spec.replcas"', id="strict refuses"),
    pytest.param("warn", 0, 'Warning: unknown field "spec.replcas"', id="warn warns"),
])
def test_an_unknown_field_is_named(cluster: Cluster, namespace: str, flag: str, code: int, text: str) -> None:
    typo = deployment("web")
    typo["spec"]["replcas"] = 3
    answer = cluster.kubectl("-n", namespace, "apply", f"--validate={flag}", "--dry-run=server", "-f", "-", stdin=json.dumps(typo),
                             check=False)
    assert answer.returncode == code and text in answer.stderr


def troubled(name: str, script: str = "true", **container: object) -> dict[str, object]:
    made = pod(name, ["sh", "-c", script])
    made["spec"]["containers"][0].update(container)
    return made


@pytest.mark.parametrize(("bad", "status", "text"), [
    pytest.param(troubled("env", envFrom=[{"configMapRef": {"name": "absent"}}]), "CreateContainerConfigError",
                 'configmap "absent" not found', id="ConfigMap missing"),
    pytest.param(troubled("cmd", command=["/no/such/program"]), "RunContainerError", "/no/such/program", id="command not in the image"),
    pytest.param(troubled("oom", "x=a; while true; do x=$x$x; done", resources={"limits": {"memory": "16Mi"}}), "CrashLoopBackOff",
                 "OOMKilled", id="memory limit reached"),
    pytest.param(troubled("never", image="wherry.local/x:1", imagePullPolicy="Never"), "ErrImageNeverPull",
                 "is not present with pull policy of Never", id="image not present and never pulled"),
    pytest.param(troubled("user", securityContext={"runAsNonRoot": True}), "CreateContainerConfigError",
                 "container has runAsNonRoot and image will run as root", id="root is not allowed"),
    pytest.param(pod("secret", ["true"], volumes=[{"name": "s", "secret": {"secretName": "absent"}}]), "ContainerCreating",
                 'secret "absent" not found', id="Secret missing"),
    pytest.param(pod("claim", ["true"], volumes=[{"name": "c", "persistentVolumeClaim": {"claimName": "absent"}}]), "Pending",
                 'persistentvolumeclaim "absent" not found', id="claim missing"),
    pytest.param(pod("place", ["true"], nodeSelector={"disk": "nvme"}), "Pending",
                 "1 node(s) didn't match Pod's node affinity/selector", id="no node fits"),
])
def test_a_pod_that_cannot_run_says_why(cluster: Cluster, namespace: str, bad: dict[str, dict[str, str]], status: str, text: str) -> None:
    name = bad["metadata"]["name"]
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(bad))
    eventually(lambda: status in cluster.kubectl("-n", namespace, "get", "pod", name).stdout, limit_s=40, what=status)
    eventually(lambda: text in cluster.kubectl("-n", namespace, "describe", "pod", name).stdout, limit_s=20, what=text)


def test_a_claim_of_an_unknown_storage_class_says_so(cluster: Cluster, namespace: str) -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "gold"},
             "spec": {"storageClassName": "gold", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(claim))
    eventually(lambda: 'storageclass.storage.k8s.io "gold" not found' in cluster.kubectl("-n", namespace, "describe", "pvc", "gold").stdout)


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
    loading = subprocess.Popen(
        ["sh", "-c", f"i=0; while {CLIENTS / 'kubectl'} -n {namespace} create configmap c$i; do i=$((i+1)); done"],
        text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
    )
    cluster.kubectl("delete", "namespace", namespace, "--timeout=90s")
    said = loading.communicate(timeout=30)[1]
    assert "because it is being terminated" in said or "not found" in said
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
    purge(made)


@cache
def ranges() -> tuple[str, str]:
    pods, services = cluster_ranges()
    return f"--pod-cidr={pods}", f"--service-cidr={services}"


def up(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(WHERRY), "up", "--data-dir", str(folder / "data"), "--kubeconfig", str(folder / "kubeconfig"), "--no-gateway", *ranges(), *flags],
        text=True, capture_output=True, timeout=90,
    )


@pytest.mark.parametrize(("flags", "text"), [
    pytest.param(("--api-port=70000",), "--api-port: 70000 is not a port; give a number from 1 to 65535", id="no such port"),
    pytest.param(("--api-port=5050",), "two ports are the same", id="one port twice"),
    pytest.param(("--service-cidr=10.248.0.0/16", "--pod-cidr=10.248.7.0/24"), "overlaps --service-cidr", id="ranges overlap"),
    pytest.param(("--pod-cidr=nonsense",), "give an IPv4 range such as 10.244.0.0/24", id="no range"),
])
def test_flags_that_cannot_work_are_refused_before_anything_is_made(folder: Path, flags: tuple[str, ...], text: str) -> None:
    refused = up(folder, *flags)
    assert refused.returncode == 1 and text in refused.stderr
    assert list(folder.iterdir()) == []


def test_an_address_range_this_machine_uses_already_is_named(folder: Path) -> None:
    link, taken = f"bad{os.getpid()}", some_subnet()
    subprocess.run(["ip", "link", "add", link, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"{taken[1]}/24", "dev", link], check=True)
        subprocess.run(["ip", "link", "set", link, "up"], check=True)
        refused = up(folder, f"--pod-cidr={next(taken.subnets())}")
    finally:
        subprocess.run(["ip", "link", "delete", link], check=True)
    assert refused.returncode == 1 and f"this machine reaches {taken} through {link}" in refused.stderr
    assert "choose another range with --pod-cidr" in refused.stderr
    assert list(folder.iterdir()) == []


def test_a_taken_port_is_named_with_the_flag_that_mends_it_and_nothing_is_left(folder: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up(folder, f"--api-port={port}")
    assert refused.returncode == 1 and "--api-port" in refused.stderr
    assert re.search(rf"port {port}: taken by \S+ \(pid {os.getpid()}\)", refused.stderr)
    assert list(folder.iterdir()) == []


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


def small_cluster(folder: Path, *flags: str) -> Cluster:
    return make_cluster(folder, "--no-gateway", *flags)


def test_damaged_state_is_named_at_once_restored_from_a_backup_or_purged(folder: Path) -> None:
    made = small_cluster(folder)
    made.kubectl("create", "configmap", "marker", "--from-literal=word=kept")
    made.wherry("backup", "store")
    assert made.wherry("backup", "restore", check=False).stderr.strip().endswith("the cluster is running; stop it first: wherry down")
    made.wherry("down")
    with (made.data_dir / "state.db").open("r+b") as database:
        database.write(os.urandom(8192))
    refused = made.wherry("up", check=False, limit_s=30)
    assert refused.returncode == 1 and "state.db is damaged" in refused.stderr and "restore it from a backup" in refused.stderr
    made.wherry("down")
    restored = made.wherry("backup", "restore", "-o", "json")
    assert json.loads(restored.stdout)["from"].endswith(".db")
    made.wherry("up")
    assert "kept" in made.kubectl("get", "configmap", "marker", "-o", "jsonpath={.data.word}").stdout
    made.wherry("down")
    (made.data_dir / "cluster.json").write_text("{")
    refused = made.wherry("up", check=False)
    assert refused.returncode == 1 and "cluster.json is not readable JSON" in refused.stderr
    made.wherry("down", "--purge")
    assert leftovers(made.data_dir) == {} and not made.data_dir.exists()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A folder on an ext4 file system of 160 MiB."""
    home = Path(tempfile.mkdtemp(prefix="wherry-disk-", dir="/var/tmp"))
    folder = home / "mounted"
    folder.mkdir()
    with (home / "disk").open("wb") as image:
        image.truncate(160 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", str(home / "disk")], check=True)
    subprocess.run(["mount", "-o", "loop", str(home / "disk"), str(folder)], check=True)
    try:
        yield folder
    finally:
        purge(folder)
        subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(home)


def fill(path: Path, *, but_bytes: int = 0) -> None:
    """Write zeros to `path` until its disk has `but_bytes` left."""
    with path.open("ab", buffering=0) as ballast:
        for size in (1024**2, 4096):
            try:
                while shutil.disk_usage(path.parent).free > but_bytes:
                    ballast.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


def leases(made: Cluster) -> list[str]:
    """Who leads what since when, with the last renewal."""
    columns = "NAME:.metadata.name,HOLDER:.spec.holderIdentity,SINCE:.spec.acquireTime,RENEWED:.spec.renewTime"
    return made.kubectl("get", "leases", "-n", "kube-system", "--no-headers", "-o", f"custom-columns={columns}").stdout.splitlines()


def test_a_full_disk_refuses_writes_clearly_takes_deletes_reads_and_pods_go_on_and_space_heals_it(small_disk: Path) -> None:
    made = small_cluster(small_disk)
    made.wherry("assemble", "busybox")
    made.kubectl("apply", "-f", "-", stdin=dump(deployment("web"), service("web")))
    made.kubectl("apply", "-f", "-", stdin=json.dumps(pod("doomed", ["sleep", "1000"])))
    made.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    made.kubectl("wait", "--for=condition=Ready", "pod/doomed", "--timeout=60s")
    fill(small_disk / "ballast", but_bytes=8 * 1024**2)
    eventually(lambda: "KubeletHasDiskPressure" in made.kubectl("describe", "node").stdout, limit_s=40, what="DiskPressure")
    assert "node.kubernetes.io/disk-pressure:NoSchedule" in made.kubectl("describe", "node").stdout
    fill(small_disk / "ballast")
    kept, said = [], ""
    for number in range(60):
        answer = made.kubectl("create", "configmap", f"n{number}", f"--from-literal=text={'x' * 100_000}", check=False)
        if answer.returncode:
            said = answer.stderr
            break
        kept.append(f"configmap/n{number}")
    assert "no space left on the disk; nothing was written, free some space" in said
    said = made.kubectl("get", "--raw", "/readyz", check=False).stderr
    assert "disk-space failed" in said and "store ok" in said
    gone = [made.kubectl("delete", name).stdout for name in kept[:30]]
    made.kubectl("delete", "pod", "doomed", "--wait=true", "--timeout=60s")
    assert len(gone) == len(kept[:30]) and all("deleted" in text for text in gone)
    kept = kept[30:]
    kill(made, "server", "agent")
    eventually(lambda: made.wherry("status", check=False).returncode == 0, what="the cluster comes back on the full disk")
    assert set(kept) <= set(made.kubectl("get", "configmaps", "-o", "name").stdout.split())
    assert "1/1" in made.kubectl("get", "pods").stdout
    fill(small_disk / "ballast")  # the restart gave back what the log of the store took
    refused = made.wherry("assemble", "debian-base", check=False)
    assert refused.returncode and "no space left" in refused.stderr and "Traceback" not in refused.stderr
    renewed = leases(made)
    assert len(renewed) == 2
    eventually(lambda: not set(renewed) & set(leases(made)), what="controllers and scheduler keep their Leases")
    (small_disk / "ballast").unlink()
    made.kubectl("create", "configmap", "after")
    made.kubectl("scale", "deployment/web", "--replicas=2")
    made.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert set(kept) <= set(made.kubectl("get", "configmaps", "-o", "name").stdout.split())


@pytest.fixture
def small_run() -> Iterator[Path]:
    """A folder for a cluster whose run directory is a file system of its own, of 16 MiB."""
    home = Path(tempfile.mkdtemp(prefix="wherry-run-", dir="/var/tmp"))
    run_dir = NodeSettings(data_dir=home / "data").run_dir
    run_dir.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "wherry-test", str(run_dir)], check=True)
    try:
        yield home
    finally:
        make_room(run_dir)
        purge(home)
        subprocess.run(["umount", "--lazy", str(run_dir)], check=False, capture_output=True)
        shutil.rmtree(run_dir, ignore_errors=True)


def make_room(run_dir: Path) -> None:
    (run_dir / "ballast").unlink(missing_ok=True)


def test_a_full_run_directory_starts_no_pod_and_says_so_what_runs_goes_on_and_space_heals_it(small_run: Path) -> None:
    made = small_cluster(small_run)
    run_dir = settings.load(made.data_dir).run_dir
    made.wherry("assemble", "busybox")
    made.kubectl("apply", "-f", "-", stdin=json.dumps(pod("kept", ["sleep", "1000"])))
    made.kubectl("wait", "--for=condition=Ready", "pod/kept", "--timeout=60s")
    fill(run_dir / "ballast")
    made.kubectl("apply", "-f", "-", stdin=json.dumps(pod("late", ["sleep", "1000"])))
    eventually(lambda: "o space left" in made.kubectl("get", "events", "--field-selector=involvedObject.name=late").stdout,
               limit_s=60, what="an Event of the pod says that there is no space")
    assert made.kubectl("get", "pod", "late", "-o", "jsonpath={.status.phase}").stdout == "Pending"
    made.kubectl("create", "configmap", "written")
    made.kubectl("exec", "kept", "--", "true", check=False)  # may be refused for want of space, must not hang
    kill(made, "server", "agent")
    eventually(lambda: made.kubectl("get", "configmap", "written", check=False).returncode == 0, limit_s=60, what="the server comes back")
    make_room(run_dir)
    made.kubectl("wait", "--for=condition=Ready", "pod/late", "pod/kept", "--timeout=120s")
    eventually(lambda: made.wherry("status", check=False).returncode == 0, limit_s=60, what="the cluster is well again")
    assert made.kubectl("get", "pod", "kept", "-o", "jsonpath={.status.containerStatuses[0].restartCount}").stdout == "0"


def test_every_row_of_the_bad_day_table_names_a_test_that_exists() -> None:
    here = Path(__file__).parent
    rows = [line for line in (here.parent.parent / "docs" / "bad-day.md").read_text().splitlines() if line.startswith("| ") and not line.startswith("| What")]
    tests = {name for path in here.glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    named = {row: re.findall(r"`(test_\w+)`", row) for row in rows}
    assert len(rows) > 20
    assert not [row for row, names in named.items() if not names or not set(names) <= tests]
