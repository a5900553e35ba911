"""Rows of apps, batch, autoscaling, policy and the other kinds that make or hold pods."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wherry.kit.clock import parse_rfc3339
from wherry.orchestration.apiserver.tables.ages import human, since
from wherry.orchestration.apiserver.tables.columns import (
    NONE,
    UNSET,
    Cells,
    age,
    containers_cells,
    labels_text,
    printer,
    selector_text,
    spec_of,
    status_of,
)
from wherry.orchestration.objects.meta import Object, condition_of, controller_of, is_deleting, name_of

_TARGETS_MAX = 2


def _deployment(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    return [
        name_of(obj), f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}", status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0), age(obj, now), *containers_cells(spec.get("template") or {}),
        selector_text(spec.get("selector")),
    ]


def _replica_set(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    return [*_replicas(obj, now), *containers_cells(spec.get("template") or {}), selector_text(spec.get("selector"))]


def _replication_controller(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    return [*_replicas(obj, now), *containers_cells(spec.get("template") or {}), labels_text(spec.get("selector"))]


def _replicas(obj: Object, now: datetime) -> Cells:
    status = status_of(obj)
    return [name_of(obj), spec_of(obj).get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0),
            age(obj, now)]


def _stateful_set(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    ready = f"{status_of(obj).get('readyReplicas', 0)}/{spec.get('replicas', 1)}"
    return [name_of(obj), ready, age(obj, now), *containers_cells(spec.get("template") or {})]


def _daemon_set(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    template = spec.get("template") or {}
    counts = [status.get(key, 0) for key in (
        "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")]
    return [name_of(obj), *counts, labels_text(spec_of(template).get("nodeSelector")), age(obj, now),
            *containers_cells(template), selector_text(spec.get("selector"))]


def _job(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism", 1)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    return [name_of(obj), _job_status(obj), completions, _job_duration(status, now), age(obj, now),
            *containers_cells(spec.get("template") or {}), selector_text(spec.get("selector"))]


def _job_status(obj: Object) -> str:
    def has(kind: str) -> bool:
        condition = condition_of(status_of(obj).get("conditions"), kind)
        return condition is not None and condition.get("status") == "True"

    for kind in ("Complete", "Failed"):
        if has(kind):
            return kind
    if is_deleting(obj):
        return "Terminating"
    return next((kind for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if has(kind)), "Running")


def _job_duration(status: Mapping[str, Any], now: datetime) -> str:
    if not status.get("startTime"):
        return ""
    ended_at = parse_rfc3339(status["completionTime"]) if status.get("completionTime") else now
    return human((ended_at - parse_rfc3339(status["startTime"])).total_seconds())


def _cron_job(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    job = spec_of(spec.get("jobTemplate") or {})
    suspend = spec.get("suspend")
    last = since(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else NONE
    return [
        name_of(obj), spec.get("schedule", ""), spec.get("timeZone") or NONE,
        UNSET if suspend is None else str(bool(suspend)), len(status.get("active") or ()), last, age(obj, now),
        *containers_cells(job.get("template") or {}), selector_text(job.get("selector")),
    ]


def _pod_template(obj: Object, now: datetime) -> Cells:
    del now
    template = obj.get("template") or {}
    return [name_of(obj), *containers_cells(template), labels_text((template.get("metadata") or {}).get("labels"))]


def _disruption_budget(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    limits = [str(spec[key]) if spec.get(key) is not None else "N/A" for key in ("minAvailable", "maxUnavailable")]
    return [name_of(obj), *limits, status_of(obj).get("disruptionsAllowed", 0), age(obj, now)]


def _controller_revision(obj: Object, now: datetime) -> Cells:
    owner = controller_of(obj)
    controller = NONE
    if owner is not None:
        group = owner["apiVersion"].rpartition("/")[0]
        kind = owner["kind"].lower()
        controller = f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"
    return [name_of(obj), controller, obj.get("revision", 0), age(obj, now)]


def _autoscaler(obj: Object, now: datetime) -> Cells:
    spec, status = spec_of(obj), status_of(obj)
    target = spec.get("scaleTargetRef") or {}
    minimum = spec.get("minReplicas")
    return [
        name_of(obj), f"{target.get('kind', '')}/{target.get('name', '')}", _targets(spec, status),
        UNSET if minimum is None else str(minimum), spec.get("maxReplicas", 0), status.get("currentReplicas", 0),
        age(obj, now),
    ]


def _targets(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    if "targetCPUUtilizationPercentage" in spec:  # autoscaling/v1
        current = status.get("currentCPUUtilizationPercentage")
        shown = "<unknown>" if current is None else f"{current}%"
        return f"cpu: {shown}/{spec['targetCPUUtilizationPercentage']}%"
    metrics, current_metrics = spec.get("metrics") or (), status.get("currentMetrics") or ()
    if not metrics:
        return NONE
    texts = [
        _metric(metric, current_metrics[index] if index < len(current_metrics) else {})
        for index, metric in enumerate(metrics)
    ]
    shown = ", ".join(texts[:_TARGETS_MAX])
    return f"{shown} + {len(texts) - _TARGETS_MAX} more..." if len(texts) > _TARGETS_MAX else shown


def _metric(metric: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    kind = metric.get("type", "")
    key = kind[:1].lower() + kind[1:]
    source = metric.get(key) or {}
    target, now = source.get("target") or {}, (current.get(key) or {}).get("current") or {}
    if key in ("resource", "containerResource"):
        name = source.get("name", "")
        if target.get("averageValue") is not None:
            return f"{name}: {now.get('averageValue', '<unknown>')}/{target['averageValue']}"
        wanted = target.get("averageUtilization")
        found = now.get("averageUtilization")
        shown = "<unknown>" if found is None else f"{found}%"
        return f"{name}: {shown}/{'<auto>' if wanted is None else f'{wanted}%'}"
    if key in ("object", "external") and target.get("averageValue") is not None:
        return f"{now.get('averageValue', '<unknown>')}/{target['averageValue']} (avg)"
    value = "averageValue" if key == "pods" else "value"
    if not key or key not in metric:
        return "<unknown type>"
    return f"{now.get(value, '<unknown>')}/{target.get(value, '<unknown>')}"


_REPLICAS = "Name|Desired#|Current#|Ready#|Age|Containers*|Images*|Selector*"

DEPLOYMENT = printer("Name|Ready|Up-to-date#|Available#|Age|Containers*|Images*|Selector*", _deployment)
REPLICA_SET = printer(_REPLICAS, _replica_set)
REPLICATION_CONTROLLER = printer(_REPLICAS, _replication_controller)
STATEFUL_SET = printer("Name|Ready|Age|Containers*|Images*", _stateful_set)
DAEMON_SET = printer(
    "Name|Desired#|Current#|Ready#|Up-to-date#|Available#|Node Selector|Age|Containers*|Images*|Selector*",
    _daemon_set)
CONTROLLER_REVISION = printer("Name|Controller|Revision|Age", _controller_revision)
JOB = printer("Name|Status|Completions|Duration|Age|Containers*|Images*|Selector*", _job)
CRON_JOB = printer(
    "Name|Schedule|Timezone|Suspend!|Active#|Last Schedule|Age|Containers*|Images*|Selector*", _cron_job)
POD_TEMPLATE = printer("Name|Containers|Images|Pod Labels", _pod_template)
POD_DISRUPTION_BUDGET = printer(
    "Name|Min Available|Max Unavailable|Allowed Disruptions#|Age", _disruption_budget)
HORIZONTAL_POD_AUTOSCALER = printer(
    "Name|Reference|Targets|MinPods|MaxPods|Replicas|Age", _autoscaler)
