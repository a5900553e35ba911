"""Helm 4 installs, upgrades, rolls back, tests and uninstalls a chart with hooks."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Cluster
from manifests import IMAGE, deployment, service

pytestmark = [pytest.mark.cluster, pytest.mark.node]


def job(name: str, hook: str, policy: str = "before-hook-creation") -> dict[str, object]:
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "annotations": {"helm.sh/hook": hook, "helm.sh/hook-delete-policy": policy}},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": IMAGE, "command": ["sh", "-c", f"echo {hook}; exit {{{{ .Values.hookCode }}}}"]}]}}},
    }


def probe() -> dict[str, object]:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "annotations": {"helm.sh/hook": "test"}},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": IMAGE, "command": ["wget", "-qO-", "http://web.{{ .Release.Namespace }}.svc.cluster.local"]}]},
    }


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "chart"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: demo\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text("replicas: 1\nhookCode: 0\n")
    web = deployment("web")
    web["spec"]["replicas"] = "REPLICAS"
    texts = {"web": json.dumps(web).replace('"REPLICAS"', "{{ .Values.replicas }}"), "service": json.dumps(service("web")),
             "before": json.dumps(job("before", "pre-install,pre-upgrade")),
             "last": json.dumps(job("last", "pre-delete,post-install", "hook-succeeded")), "probe": json.dumps(probe())}
    for name, text in texts.items():
        (folder / "templates" / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture
def release(cluster: Cluster) -> Iterator[str]:
    """A namespace name that Helm may create; gone at the end."""
    name = f"helm-{uuid.uuid4().hex[:8]}"
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def quiet(done: subprocess.CompletedProcess[str]) -> str:
    """Standard output, after a look that nothing was complained of."""
    assert "warn" not in done.stderr.lower() and "error" not in done.stderr.lower(), done.stderr
    return done.stdout


def test_install_upgrade_rollback_test_and_uninstall(cluster: Cluster, chart: Path, release: str) -> None:
    flags = ("-n", release, "--wait", "--timeout", "90s")
    assert "STATUS: deployed" in quiet(cluster.helm("install", "demo", str(chart), "--create-namespace", *flags))
    assert "pre-install" in cluster.kubectl("-n", release, "logs", "job/before").stdout
    assert "last" not in cluster.kubectl("-n", release, "get", "jobs", "-o", "name").stdout
    quiet(cluster.helm("upgrade", "demo", str(chart), "--set", "replicas=2", *flags))
    replicas = ("-n", release, "get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}")
    assert cluster.kubectl(*replicas).stdout == "2"
    tested = quiet(cluster.helm("test", "demo", "-n", release, "--logs"))
    assert "Phase:          Succeeded" in tested and "web-" in tested.partition("POD LOGS")[2]
    quiet(cluster.helm("rollback", "demo", "1", *flags))
    assert cluster.kubectl(*replicas).stdout == "1"
    history = json.loads(cluster.helm("history", "demo", "-n", release, "-o", "json").stdout)
    assert [entry["status"] for entry in history] == ["superseded", "superseded", "deployed"]
    assert "kind" in quiet(cluster.helm("get", "manifest", "demo", "-n", release))
    assert "1/1" in quiet(cluster.helm("status", "demo", "-n", release))
    quiet(cluster.helm("uninstall", "demo", *flags))
    left = cluster.kubectl("-n", release, "get", "deploy,svc,secrets", "-o", "name").stdout
    assert left == ""


def test_failed_hook_stops_the_install_and_is_named(cluster: Cluster, chart: Path, release: str) -> None:
    failed = cluster.helm("install", "demo", str(chart), "-n", release, "--create-namespace", "--timeout", "60s",
                          "--set", "hookCode=3", check=False)
    assert failed.returncode != 0 and "/before not ready. status: Failed, message: Job Failed" in failed.stderr
    assert cluster.kubectl("-n", release, "get", "deploy", "-o", "name").stdout == ""
    listed = json.loads(cluster.helm("list", "-n", release, "--all", "-o", "json", check=False).stdout or "[]")
    assert all(entry["status"] == "failed" for entry in listed)


def test_upgrade_that_never_gets_ready_is_rolled_back(cluster: Cluster, chart: Path, release: str) -> None:
    cluster.helm("install", "demo", str(chart), "-n", release, "--create-namespace", "--wait", "--timeout", "60s")
    (chart / "templates" / "web.yaml").write_text(json.dumps(deployment("web")).replace("wherry.local/busybox", "wherry.local/missing"))
    failed = cluster.helm("upgrade", "demo", str(chart), "-n", release, "--rollback-on-failure", "--timeout", "4s", check=False)
    assert failed.returncode != 0
    image = ("-n", release, "get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert cluster.kubectl(*image).stdout == IMAGE
    history = json.loads(cluster.helm("history", "demo", "-n", release, "-o", "json").stdout)
    assert [entry["status"] for entry in history] == ["superseded", "failed", "deployed"]
