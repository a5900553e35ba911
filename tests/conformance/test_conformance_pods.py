"""Pods on a real node in the situations that real manifests bring."""

import json
import uuid
from collections.abc import Iterator

import pytest
from conftest import Cluster, Kubectl
from manifests import deployment, dump, pod
from on_machine import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.node]


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_an_init_container_that_fails_first_is_retried_and_the_pod_then_runs(run: Kubectl, policy: str) -> None:
    """`wait for the database`: while the retry runs the pod is Pending, never Failed."""
    waits = {
        "name": "wait", "image": "wherry.local/busybox:1.35", "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "command": ["sh", "-c", "if [ -e /v/tried ]; then sleep 2; exit 0; else touch /v/tried; exit 1; fi"],
    }
    made = pod("waiter", ["sleep", "1000"], initContainers=[waits], volumes=[{"name": "v", "emptyDir": {}}], restartPolicy=policy)
    watched = run("apply", "-f", "-", stdin=json.dumps(made))
    assert "created" in watched.stdout
    with run.running("get", "pod", "waiter", "--watch", "-o", "jsonpath={.status.phase}{\"\\n\"}") as phases:
        run("wait", "--for=condition=Ready", "pod/waiter", "--timeout=60s")
        seen = []
        for line in phases:
            seen.append(line.strip())
            if line.strip() == "Running":
                break
    assert "Failed" not in seen
    assert run("get", "pod", "waiter", "-o", "jsonpath={.status.initContainerStatuses[0].restartCount}").stdout == "1"


@pytest.fixture
def label(cluster: Cluster) -> Iterator[str]:
    """A label key that only this test knows; off the node at the end."""
    key = f"test-{uuid.uuid4().hex[:8]}"
    yield key
    cluster.kubectl("label", "nodes", "--all", f"{key}-")


def test_a_label_put_on_the_node_counts_at_once(run: Kubectl, label: str) -> None:
    wanted = deployment("picky")
    wanted["spec"]["template"]["spec"]["nodeSelector"] = {label: "yes"}
    run("apply", "-f", "-", stdin=dump(wanted))
    eventually(lambda: "didn't match Pod's node affinity/selector" in run("describe", "pods").stdout, what="the pod waits for the label")
    run("label", "nodes", "--all", f"{label}=yes")
    run("rollout", "status", "deployment/picky", "--timeout=60s")
    pods = json.loads(run("get", "pods", "-o", "json").stdout)["items"]
    assert [found["status"]["phase"] for found in pods] == ["Running"]
