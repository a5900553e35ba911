"""`wherry down` leaves nothing of the cluster on the machine but its data; with --purge not even that."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Cluster, make_cluster
from manifests import deployment, dump, pod, service
from on_machine import eventually, leftovers, processes, purge

pytestmark = [pytest.mark.cluster, pytest.mark.node]

CLAIM = {
    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
}


def writer() -> dict[str, object]:
    made = pod("writer", ["sh", "-c", "trap exit TERM; [ -e /data/words ] || echo kept > /data/words; while true; do sleep 0.1; done"],
               volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "kept"}}])
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return made


@pytest.fixture
def busy() -> Iterator[Cluster]:
    """A cluster with Services, mounted volumes and hostPorts, without a gateway."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-down-", dir="/var/tmp"))
    try:
        made = make_cluster(folder, "--no-gateway")
        made.wherry("assemble", "busybox")
        made.kubectl("apply", "-f", "-", stdin=dump(deployment("web", 2), service("web", type="NodePort"), CLAIM, writer()))
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
        yield made
    finally:
        purge(folder)


def test_down_leaves_only_the_data_and_up_goes_on_from_it_and_purge_leaves_nothing(busy: Cluster) -> None:
    assert {"processes", "mounts", "links", "tables", "cgroups", "loop devices", "run files"} <= set(leftovers(busy.data_dir))
    busy.wherry("down")
    assert leftovers(busy.data_dir) == {}
    assert busy.data_dir.exists()
    busy.wherry("up", "--kubeconfig", str(busy.kubeconfig))
    eventually(lambda: busy.kubectl("get", "pods").stdout.count("1/1") == 3, what="all pods run again")
    assert busy.kubectl("exec", "writer", "--", "cat", "/data/words").stdout == "kept\n"
    busy.wherry("down", "--purge", "--kubeconfig", str(busy.kubeconfig))
    assert leftovers(busy.data_dir) == {}
    assert not busy.data_dir.exists()
    assert "wherry" not in busy.run("grep", "name:", str(busy.kubeconfig), check=False).stdout
    assert "no cluster in" in busy.wherry("down", "--purge").stdout, "a second time is no error"


def test_down_after_every_process_was_killed_leaves_nothing_either(busy: Cluster) -> None:
    for pid in processes(busy.data_dir):
        with contextlib.suppress(ProcessLookupError):  # it went with one that was killed before
            os.kill(pid, signal.SIGKILL)
    busy.wherry("down", "--purge")
    assert leftovers(busy.data_dir) == {}
    assert not busy.data_dir.exists()
