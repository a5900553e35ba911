"""Built-in resources that are served in two versions and stored in one.

`events.k8s.io/v1` Events are stored as core/v1; `autoscaling/v1` HorizontalPodAutoscalers as autoscaling/v2.
Out:   pairs of pure functions (stored -> served, served -> stored); both own their argument.
Spec:  upstream pkg/apis/{events/v1,autoscaling/v1}/conversion.go (field correspondence).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.validation.events import FIELDS_V1

METRICS_ANNOTATION = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR_ANNOTATION = "autoscaling.alpha.kubernetes.io/behavior"


class Conversion(NamedTuple):
    """How one served version relates to the stored one."""

    to_served: Callable[[Object], Object]
    to_stored: Callable[[Object], Object]


class Stored(NamedTuple):
    """Whose objects a view shows, and how."""

    group: str
    plural: str
    conversion: Conversion


def _renamed(obj: Object, names: dict[str, str], api_version: str) -> Object:
    return {names.get(k, k): v for k, v in obj.items()} | {"apiVersion": api_version}


def _shaped(obj: Object) -> Object:
    """What one version always writes, the other may leave out."""
    node = structure_of(obj["apiVersion"], obj["kind"])
    assert node is not None, "both versions are built in"
    return typed(obj, node).obj


def _event_to_served(obj: Object) -> Object:
    return _shaped(_renamed(obj, FIELDS_V1, "events.k8s.io/v1"))


def _event_to_stored(obj: Object) -> Object:
    return _shaped(_renamed(obj, {v: k for k, v in FIELDS_V1.items()}, "v1"))


def _hpa_to_served(obj: Object) -> Object:
    spec = dict(obj.get("spec", {}))
    others = []
    for metric in spec.pop("metrics", None) or ():
        target = metric.get("resource", {}).get("target", {})
        is_cpu = metric.get("type") == "Resource" and metric["resource"].get("name") == "cpu"
        if is_cpu and target.get("type") == "Utilization" and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = target.get("averageUtilization")
        else:
            others.append(metric)
    metadata = dict(obj["metadata"])
    behavior = spec.pop("behavior", None)
    for key, value in ((METRICS_ANNOTATION, others), (BEHAVIOR_ANNOTATION, behavior)):
        if value:
            metadata["annotations"] = {**metadata.get("annotations", {}), key: orjson.dumps(value).decode()}
    served = {**obj, "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec}
    if "status" in obj:
        served["status"] = _hpa_status_v1(obj["status"])
    return _shaped(served)


def _hpa_status_v1(status: Object) -> Object:
    kept = {k: v for k, v in status.items() if k not in ("currentMetrics", "conditions")}
    for metric in status.get("currentMetrics") or ():
        resource = metric.get("resource", {})
        if resource.get("name") == "cpu" and "averageUtilization" in resource.get("current", {}):
            kept["currentCPUUtilizationPercentage"] = resource["current"]["averageUtilization"]
    return kept


def _hpa_to_stored(obj: Object) -> Object:
    spec = dict(obj.get("spec", {}))
    metadata = dict(obj["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    metrics: list[Object] = _loads(annotations.pop(METRICS_ANNOTATION, "")) or []
    behavior = _loads(annotations.pop(BEHAVIOR_ANNOTATION, ""))
    cpu = spec.pop("targetCPUUtilizationPercentage", None)
    if cpu is not None:
        target = {"type": "Utilization", "averageUtilization": cpu}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *metrics]
    if metrics:
        spec["metrics"] = metrics
    if behavior:
        spec["behavior"] = behavior
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    stored = {**obj, "apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec}
    percentage = stored.get("status", {}).get("currentCPUUtilizationPercentage")
    if percentage is not None:
        status = {k: v for k, v in stored["status"].items() if k != "currentCPUUtilizationPercentage"}
        current = {"averageUtilization": percentage}
        status["currentMetrics"] = [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
        stored["status"] = status
    return _shaped(stored)


def _loads(text: str) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


EVENTS = Stored("", "events", Conversion(_event_to_served, _event_to_stored))
AUTOSCALERS_V1 = Stored("autoscaling", "horizontalpodautoscalers", Conversion(_hpa_to_served, _hpa_to_stored))
