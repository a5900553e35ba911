"""Rows of nodes, namespaces, events, configuration and scheduling kinds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wherry.orchestration.apiserver.tables.ages import UNKNOWN, since
from wherry.orchestration.apiserver.tables.columns import NONE, Cells, age, printer, spec_of, status_of
from wherry.orchestration.objects.meta import Object, condition_of, labels_of, name_of

_ROLE_LABEL = "node-role.kubernetes.io/"


def _node(obj: Object, now: datetime) -> Cells:
    status = status_of(obj)
    info = status.get("nodeInfo") or {}
    return [
        name_of(obj), _node_status(obj), _node_roles(obj), age(obj, now), info.get("kubeletVersion", ""),
        _address(status, "InternalIP"), _address(status, "ExternalIP"), info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN, info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _node_status(obj: Object) -> str:
    ready = condition_of(status_of(obj).get("conditions"), "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    return ",".join([*words, "SchedulingDisabled"] if spec_of(obj).get("unschedulable") else words)


def _node_roles(obj: Object) -> str:
    labels = labels_of(obj)
    roles = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)} - {""}
    roles |= {labels["kubernetes.io/role"]} if labels.get("kubernetes.io/role") else set()
    return ",".join(sorted(roles)) or NONE


def _address(status: Mapping[str, Any], kind: str) -> str:
    return next((entry["address"] for entry in status.get("addresses") or () if entry.get("type") == kind), NONE)


def _namespace(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), status_of(obj).get("phase", ""), age(obj, now)]


def _event(obj: Object, now: datetime) -> Cells:
    """Reads both spellings: core/v1 and events.k8s.io/v1."""
    first_at = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last_at = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first_at
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    series = obj.get("series")
    if series:
        last_at, count = series.get("lastObservedTime"), series.get("count", 0)
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    kind, name = about.get("kind", "").lower(), about.get("name")
    message = (obj.get("message") or obj.get("note") or "").strip()
    return [
        since(last_at, now), obj.get("type", ""), obj.get("reason", ""), f"{kind}/{name}" if name else kind,
        about.get("fieldPath", ""), _event_source(obj), message, since(first_at, now), count, name_of(obj),
    ]


def _event_source(obj: Object) -> str:
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _config_map(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def _secret(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]


def _service_account(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), len(obj.get("secrets") or ()), age(obj, now)]


def _resource_quota(obj: Object, now: datetime) -> Cells:
    status = status_of(obj)
    hard, used = status.get("hard") or {}, status.get("used") or {}
    texts = {key: f"{key}: {used.get(key, '0')}/{hard[key]}" for key in sorted(hard)}
    requests = ", ".join(text for key, text in texts.items() if not key.startswith("limits."))
    limits = ", ".join(text for key, text in texts.items() if key.startswith("limits."))
    return [name_of(obj), requests, limits, age(obj, now)]


def _priority_class(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now),
            obj.get("preemptionPolicy", "PreemptLowerPriority")]


def _runtime_class(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), obj.get("handler", ""), age(obj, now)]


def _lease(obj: Object, now: datetime) -> Cells:
    return [name_of(obj), spec_of(obj).get("holderIdentity") or "", age(obj, now)]


def _component_status(obj: Object, now: datetime) -> Cells:
    del now
    healthy = condition_of(obj.get("conditions"), "Healthy") or {}
    word = {"True": "Healthy", "False": "Unhealthy"}.get(str(healthy.get("status")), "Unknown")
    return [name_of(obj), word, healthy.get("message", ""), healthy.get("error", "")]


def _flow_schema(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    dangling = condition_of(status_of(obj).get("conditions"), "Dangling")
    method = (spec.get("distinguisherMethod") or {}).get("type") or NONE
    return [name_of(obj), (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
            spec.get("matchingPrecedence", 0), method, age(obj, now), dangling.get("status", "?") if dangling else "?"]


def _priority_level(obj: Object, now: datetime) -> Cells:
    spec = spec_of(obj)
    limited = spec.get("limited") or spec.get("exempt") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    queue_cells = [queuing.get(key, NONE) for key in ("queues", "handSize", "queueLengthLimit")]
    return [name_of(obj), spec.get("type", ""), limited.get("nominalConcurrencyShares", NONE), *queue_cells,
            age(obj, now)]


def _api_service(obj: Object, now: datetime) -> Cells:
    service = spec_of(obj).get("service")
    available = condition_of(status_of(obj).get("conditions"), "Available") or {}
    word = available.get("status") or "Unknown"
    if word != "True" and available.get("reason"):
        word = f"{word} ({available['reason']})"
    return [name_of(obj), f"{service.get('namespace')}/{service.get('name')}" if service else "Local", word,
            age(obj, now)]


NODE = printer(
    "Name|Status|Roles|Age|Version|Internal-IP*|External-IP*|OS-Image*|Kernel-Version*|Container-Runtime*", _node)
NAMESPACE = printer("Name|Status|Age", _namespace)
EVENT = printer(
    "Last Seen|Type|Reason|Object|Subobject*|Source*|Message|First Seen*|Count#*|Name*", _event)
CONFIG_MAP = printer("Name|Data|Age", _config_map)
SECRET = printer("Name|Type|Data|Age", _secret)
SERVICE_ACCOUNT = printer("Name|Secrets|Age", _service_account)
RESOURCE_QUOTA = printer("Name|Request|Limit|Age", _resource_quota)
COMPONENT_STATUS = printer("Name|Status|Message|Error", _component_status)
PRIORITY_CLASS = printer(
    "Name|Value#|Global-Default!|Age|PreemptionPolicy", _priority_class)
RUNTIME_CLASS = printer("Name|Handler|Age", _runtime_class)
LEASE = printer("Name|Holder|Age", _lease)
FLOW_SCHEMA = printer(
    "Name|PriorityLevel|MatchingPrecedence|DistinguisherMethod|Age|MissingPL", _flow_schema)
PRIORITY_LEVEL_CONFIGURATION = printer(
    "Name|Type|NominalConcurrencyShares|Queues|HandSize|QueueLengthLimit|Age", _priority_level)
API_SERVICE = printer("Name|Service|Available|Age", _api_service)
