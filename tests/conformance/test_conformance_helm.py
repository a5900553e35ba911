"""Helm 4 installs, upgrades, rolls back, tests and uninstalls a chart with hooks."""

import json
from pathlib import Path

import pytest
from conftest import Cluster
from manifests import IMAGE, deployment, service

pytestmark = [pytest.mark.cluster, pytest.mark.node]


def job(name: str, hook: str) -> dict[str, object]:
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "annotations": {"helm.sh/hook": hook, "helm.sh/hook-delete-policy": "before-hook-creation"}},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": IMAGE, "command": ["sh", "-c", f"echo {hook}"]}]}}},
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
    (folder / "values.yaml").write_text("replicas: 1\n")
    web = deployment("web")
    web["spec"]["replicas"] = "REPLICAS"
    texts = {"web": json.dumps(web).replace('"REPLICAS"', "{{ .Values.replicas }}"), "service": json.dumps(service("web")),
             "before": json.dumps(job("before", "pre-install,pre-upgrade")), "probe": json.dumps(probe())}
    for name, text in texts.items():
        (folder / "templates" / f"{name}.yaml").write_text(text)
    return folder


def test_install_upgrade_rollback_test_and_uninstall(cluster: Cluster, chart: Path) -> None:
    flags = ("-n", "helm-demo", "--wait", "--timeout", "90s")
    installed = cluster.helm("install", "demo", str(chart), "--create-namespace", *flags)
    assert "STATUS: deployed" in installed.stdout and "WARN" not in installed.stderr.upper()
    assert "pre-install" in cluster.kubectl("-n", "helm-demo", "logs", "job/before").stdout
    cluster.helm("upgrade", "demo", str(chart), "--set", "replicas=2", *flags)
    replicas = ("-n", "helm-demo", "get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}")
    assert cluster.kubectl(*replicas).stdout == "2"
    assert "succeeded" in cluster.helm("test", "demo", "-n", "helm-demo").stdout.lower()
    cluster.helm("rollback", "demo", "1", *flags)
    assert cluster.kubectl(*replicas).stdout == "1"
    assert len(json.loads(cluster.helm("history", "demo", "-n", "helm-demo", "-o", "json").stdout)) == 3
    cluster.helm("uninstall", "demo", *flags)
    assert "web" not in cluster.kubectl("-n", "helm-demo", "get", "deploy,svc", "-o", "name").stdout
    cluster.kubectl("delete", "namespace", "helm-demo")
