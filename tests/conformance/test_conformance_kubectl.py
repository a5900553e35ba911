"""What a user types at kubectl works: 1.37.1 and 1.30 against a running cluster with real containers."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Cluster, Kubectl
from manifests import IMAGE, deployment, dump, pod, service

pytestmark = [pytest.mark.cluster, pytest.mark.node]


def eventually(check: Callable[[], bool], *, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < deadline, f"not within {limit_s} s: {check}"
        time.sleep(0.1)


def no_warning(done: subprocess.CompletedProcess[str]) -> None:
    assert "Warning" not in done.stderr and "error" not in done.stderr.lower(), done.stderr


def test_apply_get_describe_and_delete_of_a_deployment(kubectl: Kubectl) -> None:
    manifest = dump(deployment("web", 2), service("web"))
    no_warning(kubectl("apply", "-f", "-", stdin=manifest))
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=manifest).stdout
    no_warning(kubectl("rollout", "status", "deployment/web", "--timeout=60s"))
    wide = kubectl("get", "pods", "-o", "wide").stdout
    assert wide.count("1/1") == 2 and "NOMINATED NODE" in wide
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}").stdout == "2"
    assert "kind: Deployment" in kubectl("get", "deploy", "web", "-o", "yaml").stdout
    described = kubectl("describe", "deployment", "web").stdout
    assert "ScalingReplicaSet" in described and "MinimumReplicasAvailable" in described
    one = kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}").stdout
    assert "Successfully assigned" in kubectl("describe", "pod", one).stdout
    kubectl("delete", "deployment", "web")
    eventually(lambda: "web" not in kubectl("get", "pods").stdout)


def test_server_side_apply_names_the_conflicting_manager(kubectl: Kubectl) -> None:
    kubectl("apply", "--server-side", "--field-manager=one", "-f", "-", stdin=dump(deployment("web", 1)))
    refused = kubectl("apply", "--server-side", "--field-manager=two", "-f", "-", stdin=dump(deployment("web", 2)), check=False)
    assert refused.returncode != 0 and 'conflict with "one"' in refused.stderr and ".spec.replicas" in refused.stderr
    kubectl("apply", "--server-side", "--field-manager=two", "--force-conflicts", "-f", "-", stdin=dump(deployment("web", 2)))
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}").stdout == "2"


def test_diff_shows_what_apply_would_change(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=dump(deployment("web", 1)))
    changed = kubectl("diff", "-f", "-", stdin=dump(deployment("web", 3)), check=False)
    assert changed.returncode == 1 and "+  replicas: 3" in changed.stdout
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}").stdout == "1"


@pytest.mark.parametrize("kind", ["strategic", "merge", "json"])
def test_patch_of_every_kind(run: Kubectl, kind: str) -> None:
    run("apply", "-f", "-", stdin=dump(deployment("web", 1)))
    patch = '[{"op":"replace","path":"/spec/replicas","value":2}]' if kind == "json" else '{"spec":{"replicas":2}}'
    run("patch", "deployment", "web", f"--type={kind}", "-p", patch)
    assert run("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}").stdout == "2"


def test_rollout_history_and_undo(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=dump(deployment("web", 1)))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("set", "env", "deployment/web", "COLOR=green")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "2" in kubectl("rollout", "history", "deployment/web").stdout
    assert "rolled back" in kubectl("rollout", "undo", "deployment/web").stdout
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "COLOR" not in kubectl("get", "deploy", "web", "-o", "yaml").stdout
    kubectl("scale", "deployment/web", "--replicas=0")
    eventually(lambda: kubectl("get", "pods", "-o", "name").stdout == "")


def test_exec_and_cp(kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    kubectl("apply", "-f", "-", stdin=dump(deployment("web", 1)))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert kubectl("exec", "deploy/web", "--", "echo", "hello").stdout == "hello\n"
    assert kubectl("exec", "deploy/web", "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert kubectl("exec", "-i", "deploy/web", "--", "cat", stdin="through stdin").stdout == "through stdin"
    name = kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}").stdout
    source = tmp_path / "big"
    source.write_bytes(bytes(range(256)) * 8192)
    kubectl("cp", str(source), f"{namespace}/{name}:/tmp/big")
    kubectl("cp", f"{namespace}/{name}:/tmp/big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_logs_follow_until_the_container_ends(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=dump(pod("count", ["sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.3; done"], restartPolicy="Never")))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/count", "--timeout=60s")
    assert kubectl("logs", "-f", "count").stdout == "line 1\nline 2\nline 3\n"
    assert kubectl("logs", "--tail=1", "count").stdout == "line 3\n"


@pytest.mark.parametrize("policy", ["background", "foreground", "orphan"])
def test_delete_with_every_propagation_policy(run: Kubectl, policy: str) -> None:
    run("apply", "-f", "-", stdin=dump(deployment("web", 1)))
    run("rollout", "status", "deployment/web", "--timeout=60s")
    run("delete", "deployment", "web", f"--cascade={policy}")
    if policy == "orphan":
        assert run("get", "rs", "-o", "name").stdout.count("replicaset") == 1
        assert run("get", "rs", "-o", "jsonpath={.items[0].metadata.ownerReferences}").stdout == ""
    else:
        eventually(lambda: run("get", "rs,pods", "-o", "name").stdout == "")


def test_explain_api_resources_and_versions(kubectl: Kubectl) -> None:
    assert "replicas" in kubectl("explain", "deployment.spec").stdout
    assert "FIELD" in kubectl("explain", "pod.spec.containers.livenessProbe").stdout.upper()
    resources = kubectl("api-resources").stdout
    assert all(word in resources for word in ("deployments", "httproutes", "customresourcedefinitions", "leases"))
    assert "apps/v1" in kubectl("api-versions").stdout


def test_auth_whoami_and_can_i(cluster: Cluster) -> None:
    assert "system:masters" in cluster.kubectl("auth", "whoami").stdout
    assert cluster.kubectl("auth", "can-i", "delete", "nodes").stdout.strip() == "yes"
    denied = cluster.kubectl("auth", "can-i", "get", "secrets", "--as=system:serviceaccount:default:default", check=False)
    assert denied.stdout.strip() == "no"
    assert "Resources" in cluster.kubectl("auth", "can-i", "--list").stdout


def test_events_and_top_say_what_they_know(run: Kubectl) -> None:
    run("apply", "-f", "-", stdin=dump(pod("one", ["sleep", "1"], restartPolicy="Never")))
    run("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/one", "--timeout=60s")
    events = run("events").stdout
    assert all(reason in events for reason in ("Scheduled", "Pulled", "Created", "Started"))
    assert "Metrics API not available" in run("top", "pods", check=False).stderr


def test_debug_adds_an_ephemeral_container(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=dump(pod("one", ["sleep", "600"])))
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=60s")
    kubectl("debug", "one", f"--image={IMAGE}", "--container=probe", "--target=main", "--", "sh", "-c", "ps; echo seen")
    eventually(lambda: "seen" in kubectl("logs", "one", "-c", "probe", check=False).stdout)
    assert "sleep 600" in kubectl("logs", "one", "-c", "probe").stdout


def test_drain_evicts_and_respects_a_disruption_budget(cluster: Cluster, run: Kubectl) -> None:
    node = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").stdout
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "drained"},
              "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "drained"}}}}
    run("apply", "-f", "-", stdin=dump(deployment("drained"), budget))
    run("rollout", "status", "deployment/drained", "--timeout=60s")
    eventually(lambda: run("get", "pdb", "drained", "-o", "jsonpath={.status.currentHealthy}").stdout == "1")
    drain = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--pod-selector=app=drained")
    try:
        refused = cluster.kubectl(*drain, "--timeout=3s", check=False)
        assert refused.returncode != 0 and "disruption budget" in refused.stderr
        run("delete", "pdb", "drained")
        assert "drained" in cluster.kubectl(*drain, "--timeout=60s").stdout
    finally:
        cluster.kubectl("uncordon", node)


def test_edit_changes_the_object(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/replicas:.1/replicas:\\ 2/")
    kubectl("apply", "-f", "-", stdin=dump(deployment("web", 1)))
    kubectl("edit", "deployment", "web")
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}").stdout == "2"


def test_get_and_describe_work_for_every_kind(cluster: Cluster) -> None:
    names = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    assert len(names) > 50
    for name in names:
        listed = cluster.kubectl("get", name, "-A", check=False)
        assert listed.returncode == 0, f"get {name}: {listed.stderr}"
    described = cluster.kubectl("describe", "nodes,namespaces,services,serviceaccounts,clusterroles,storageclasses,priorityclasses", "-A")
    assert "InternalIP" in described.stdout


def test_unknown_fields_are_refused_when_strict_and_warned_of_else(kubectl: Kubectl) -> None:
    bad = deployment("web", 1)
    bad["spec"]["replicass"] = 3
    refused = kubectl("apply", "-f", "-", stdin=json.dumps(bad), check=False)
    assert refused.returncode != 0 and 'unknown field "spec.replicass"' in refused.stderr
    warned = kubectl("apply", "--validate=warn", "-f", "-", stdin=json.dumps(bad))
    assert 'Warning: unknown field "spec.replicass"' in warned.stderr
