"""Builders of ordinary objects for tests: the least that is valid, with the defaults the API server would set."""

from typing import Any

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.well_known import LABEL_HOSTNAME


def pod_template(image: str = "app:1", *, app: str = "web", **spec: Any) -> Object:
    """A template of one container, labelled `app`."""
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": image}], "restartPolicy": "Always", **spec},
    }


def _workload(kind: str, name: str, api_version: str, spec: Object) -> Object:
    return {
        "apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    }  # fmt: skip


def replica_set(name: str = "web", replicas: int = 3, **spec: Any) -> Object:
    """apps/v1 ReplicaSet."""
    return _workload("ReplicaSet", name, "apps/v1", {
        "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": pod_template(), **spec,
    })  # fmt: skip


def deployment(name: str = "web", replicas: int = 3, **spec: Any) -> Object:
    """apps/v1 Deployment, RollingUpdate by 25 %."""
    return _workload("Deployment", name, "apps/v1", {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": pod_template(),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
        **spec,
    })  # fmt: skip


def stateful_set(name: str = "db", replicas: int = 3, **spec: Any) -> Object:
    """apps/v1 StatefulSet, OrderedReady."""
    return _workload("StatefulSet", name, "apps/v1", {
        "replicas": replicas,
        "serviceName": name,
        "selector": {"matchLabels": {"app": "web"}},
        "template": pod_template(),
        "podManagementPolicy": "OrderedReady",
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "revisionHistoryLimit": 10,
        **spec,
    })  # fmt: skip


def daemon_set(name: str = "agent", **spec: Any) -> Object:
    """apps/v1 DaemonSet, RollingUpdate one by one."""
    return _workload("DaemonSet", name, "apps/v1", {
        "selector": {"matchLabels": {"app": "web"}},
        "template": pod_template(),
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "revisionHistoryLimit": 10,
        **spec,
    })  # fmt: skip


def job(name: str = "work", **spec: Any) -> Object:
    """batch/v1 Job of one completion."""
    return _workload("Job", name, "batch/v1", {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": 6,
        "completionMode": "NonIndexed",
        "suspend": False,
        "podReplacementPolicy": "TerminatingOrFailed",
        "template": {"spec": {"containers": [{"name": "main", "image": "app:1"}], "restartPolicy": "Never"}},
        **spec,
    })  # fmt: skip


def node(name: str = "node-1", *, taints: tuple[Object, ...] = (), **labels: str) -> Object:
    """A ready Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {LABEL_HOSTNAME: name, **labels}},
        "spec": {"taints": list(taints)},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
