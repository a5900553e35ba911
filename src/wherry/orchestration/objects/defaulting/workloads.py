"""Defaults of apps/v1, batch/v1, autoscaling and the core kinds with a pod template.

Spec: pkg/apis/{apps,batch,autoscaling}/v1 defaults of Kubernetes 1.37.
"""

from wherry.orchestration.objects.defaulting.fill import each, fill, fill_zero, section
from wherry.orchestration.objects.defaulting.pods import fill_template
from wherry.orchestration.objects.defaulting.storage import fill_claim
from wherry.orchestration.objects.meta import Object, labels_of

BACKOFF_LIMIT = 6
INT32_MAX = 2**31 - 1


def _spec_with_template(obj: Object) -> Object:
    spec = section(obj, "spec")
    fill_template(section(spec, "template"))
    return spec


def _deployment(obj: Object) -> None:
    spec = _spec_with_template(obj)
    fill(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = section(spec, "strategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(section(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")
    section(obj, "status")


def _replica_set(obj: Object) -> None:
    fill(_spec_with_template(obj), replicas=1)
    fill(section(obj, "status"), replicas=0)


def _stateful_set(obj: Object) -> None:
    spec = _spec_with_template(obj)
    fill(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    strategy = section(spec, "updateStrategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(section(strategy, "rollingUpdate"), partition=0, maxUnavailable=1)
    fill(section(spec, "persistentVolumeClaimRetentionPolicy"), whenDeleted="Retain", whenScaled="Retain")
    for claim in each(spec, "volumeClaimTemplates"):
        fill(claim, apiVersion="v1", kind="PersistentVolumeClaim")
        fill_claim(claim)
    fill(section(obj, "status"), replicas=0, availableReplicas=0)


def _daemon_set(obj: Object) -> None:
    spec = _spec_with_template(obj)
    fill(spec, revisionHistoryLimit=10)
    strategy = section(spec, "updateStrategy")
    fill(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        fill(section(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)
    fill(
        section(obj, "status"), currentNumberScheduled=0, numberMisscheduled=0, desiredNumberScheduled=0, numberReady=0
    )


def _replication_controller(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, replicas=1)
    if spec.get("template"):
        fill_template(spec["template"])
        labels = labels_of(spec["template"])
        if labels and not spec.get("selector"):
            spec["selector"] = dict(labels)
        if labels and not labels_of(obj):
            section(obj, "metadata")["labels"] = dict(labels)
    fill(section(obj, "status"), replicas=0)


def _pod_template(obj: Object) -> None:
    fill_template(section(obj, "template"))


def _job(obj: Object) -> None:
    spec = _spec_with_template(obj)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        fill(spec, completions=1)
    per_index = spec.get("backoffLimitPerIndex") is not None
    fill(
        spec, parallelism=1, backoffLimit=INT32_MAX if per_index else BACKOFF_LIMIT,
        completionMode="NonIndexed", suspend=False, manualSelector=False,
        podReplacementPolicy="Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
    )
    for rule in each(spec.get("podFailurePolicy") or {}, "rules"):
        for pattern in each(rule, "onPodConditions"):
            fill(pattern, status="True")
    labels = labels_of(spec["template"])
    if labels and not labels_of(obj):
        section(obj, "metadata")["labels"] = dict(labels)
    section(obj, "status")


def _cron_job(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    # Only the pod template: the other Job fields are filled when a Job is made from it, as upstream does.
    fill_template(section(section(section(spec, "jobTemplate"), "spec"), "template"))
    section(obj, "status")


def _autoscaler(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, minReplicas=1)
    fill(section(obj, "status"), desiredReplicas=0)
    if obj.get("apiVersion") != "autoscaling/v2":
        fill(obj["status"], currentReplicas=0)
        return
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if spec.get("behavior") is not None:
        _fill_behavior(spec["behavior"])


def _fill_behavior(behavior: Object) -> None:
    all_at_once = {"type": "Percent", "value": 100, "periodSeconds": 15}
    up, down = section(behavior, "scaleUp"), section(behavior, "scaleDown")
    fill(up, stabilizationWindowSeconds=0)
    for rules in (up, down):
        fill(rules, selectPolicy="Max")
    fill_zero(up, policies=[{"type": "Pods", "value": 4, "periodSeconds": 15}, dict(all_at_once)])
    fill_zero(down, policies=[dict(all_at_once)])


DEFAULTERS = {
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("", "ReplicationController"): _replication_controller,
    ("", "PodTemplate"): _pod_template,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
}
