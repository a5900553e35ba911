"""Checks of Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs and autoscalers.

Spec: pkg/apis/{apps,batch,autoscaling}/validation.
"""

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wherry.orchestration.objects.meta import Object, labels_of, name_of
from wherry.orchestration.objects.selectors import from_label_selector
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.cron import schedule_wrong
from wherry.orchestration.objects.validation.metadata import check_labels, check_selector
from wherry.orchestration.objects.validation.names import too_long
from wherry.orchestration.objects.validation.pods import check_template
from wherry.orchestration.objects.validation.storage import check_claim_spec

CRON_NAME_LENGTH_MAX = 52
_STATEFUL_SET_FORBIDDEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_SET_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)


def _check_selected_template(obj: Object, kind: str, found: Causes) -> None:
    """The selector is there, not empty, and matches the template, which restarts always."""
    spec = obj.get("spec") or {}
    selector = spec.get("selector")
    template = spec.get("template") or {}
    if selector is None:
        found.required("spec.selector")
    else:
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            found.invalid("spec.selector", selector, f"empty selector is invalid for {kind}")
        _check_match(selector, template, found)
    check_template(template, "spec.template", found)
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy not in (None, "", "Always"):
        found.not_supported("spec.template.spec.restartPolicy", policy, ("Always",))
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        found.forbidden("spec.template.spec.activeDeadlineSeconds", f"activeDeadlineSeconds in {kind} is not Supported")


def _check_match(selector: Object, template: Object, found: Causes) -> None:
    before = len(found)
    check_selector(selector, "spec.selector", found)
    if len(found) == before and not from_label_selector(selector).matches(labels_of(template)):
        text = "`selector` does not match template `labels`"
        found.invalid("spec.template.metadata.labels", labels_of(template) or None, text)


def _check_numbers(spec: Object, found: Causes, *keys: str) -> None:
    for key in keys:
        found.not_negative(f"spec.{key}", spec.get(key))


def check_int_or_percent(value: Any, path: str, found: Causes) -> None:
    """At least 0, or a text such as `25%`."""
    if isinstance(value, str):
        if not (value.endswith("%") and value[:-1].isdecimal() and value.isascii()):
            text = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', "
            found.invalid(path, value, f"{text}regex used for validation is '[0-9]+%')")
    else:
        found.not_negative(path, value)


def _is_zero(value: Any) -> bool:
    return value in (0, "0%", None)


def deployment(obj: Object, old: Object | None, found: Causes) -> None:
    _check_selected_template(obj, "deployment", found)
    spec = obj.get("spec") or {}
    _check_numbers(spec, found, "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        found.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    strategy = spec.get("strategy") or {}
    found.one_of("spec.strategy.type", strategy.get("type"), ("Recreate", "RollingUpdate"))
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "Recreate" and rolling is not None:
        text = "may not be specified when strategy `type` is 'Recreate'"
        found.forbidden("spec.strategy.rollingUpdate", text)
    elif rolling is not None:
        for key in ("maxUnavailable", "maxSurge"):
            check_int_or_percent(rolling.get(key), f"spec.strategy.rollingUpdate.{key}", found)
        if _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
            found.invalid("spec.strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"),
                          "may not be 0 when `maxSurge` is 0")
    _check_selector_kept(obj, old, found)


def _check_selector_kept(obj: Object, old: Object | None, found: Causes) -> None:
    if old is not None:
        found.unchanged("spec.selector", (obj.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector"))


def replica_set(obj: Object, old: Object | None, found: Causes) -> None:
    _check_selected_template(obj, "replicaset", found)
    _check_numbers(obj.get("spec") or {}, found, "replicas", "minReadySeconds")
    _check_selector_kept(obj, old, found)


def daemon_set(obj: Object, old: Object | None, found: Causes) -> None:
    _check_selected_template(obj, "daemonset", found)
    spec = obj.get("spec") or {}
    _check_numbers(spec, found, "minReadySeconds", "revisionHistoryLimit")
    strategy = spec.get("updateStrategy") or {}
    found.one_of("spec.updateStrategy.type", strategy.get("type"), ("OnDelete", "RollingUpdate"))
    if strategy.get("type") == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        for key in ("maxUnavailable", "maxSurge"):
            check_int_or_percent(rolling.get(key), f"spec.updateStrategy.rollingUpdate.{key}", found)
        if _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
            found.required("spec.updateStrategy.rollingUpdate.maxUnavailable", "cannot be 0 when maxSurge is 0")
        elif not _is_zero(rolling.get("maxUnavailable")) and not _is_zero(rolling.get("maxSurge")):
            found.invalid("spec.updateStrategy.rollingUpdate.maxSurge", rolling.get("maxSurge"),
                          "may not be set when maxUnavailable is non-zero")
    _check_selector_kept(obj, old, found)


def _with_claimed_volumes(obj: Object) -> Object:
    """The StatefulSet with the volumes its pods will have: mounts may name volumeClaimTemplates."""
    spec = obj.get("spec") or {}
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    volumes = list(pod.get("volumes") or ())
    taken = {volume.get("name") for volume in volumes}
    names = [name_of(claim) for claim in spec.get("volumeClaimTemplates") or ()]
    volumes += [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names if n and n not in taken]
    return {**obj, "spec": {**spec, "template": {**template, "spec": {**pod, "volumes": volumes}}}} if volumes else obj


def stateful_set(obj: Object, old: Object | None, found: Causes) -> None:
    _check_selected_template(_with_claimed_volumes(obj), "statefulset", found)
    spec = obj.get("spec") or {}
    _check_numbers(spec, found, "replicas", "minReadySeconds", "revisionHistoryLimit")
    found.one_of("spec.podManagementPolicy", spec.get("podManagementPolicy"), ("OrderedReady", "Parallel"))
    strategy = spec.get("updateStrategy") or {}
    found.one_of("spec.updateStrategy.type", strategy.get("type"), ("OnDelete", "RollingUpdate"))
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    found.not_negative("spec.updateStrategy.rollingUpdate.partition", partition)
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        if not name_of(claim):
            found.required(f"spec.volumeClaimTemplates[{index}].metadata.name")
        check_claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec", found)
    if old is not None:
        before = old.get("spec") or {}
        kept = {key: value for key, value in spec.items() if key not in _STATEFUL_SET_MUTABLE}
        if _comparable(kept) != _comparable({k: v for k, v in before.items() if k not in _STATEFUL_SET_MUTABLE}):
            found.forbidden("spec", _STATEFUL_SET_FORBIDDEN)


def _comparable(spec: Object) -> Object:
    claims = [{k: v for k, v in c.items() if k != "status"} for c in spec.get("volumeClaimTemplates") or ()]
    return {**{k: v for k, v in spec.items() if v not in (None, "", [], {})}, "volumeClaimTemplates": claims}


def replication_controller(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        found.required("spec.selector")
    check_labels(selector, "spec.selector", found)
    _check_numbers(spec, found, "replicas", "minReadySeconds")
    if template is None:
        found.required("spec.template")
        return
    if selector and not selector.items() <= labels_of(template).items():
        found.invalid("spec.template.metadata.labels", labels_of(template),
                      "`selector` does not match template `labels`")
    check_template(template, "spec.template", found)
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy != "Always":
        found.not_supported("spec.template.spec.restartPolicy", policy, ("Always",))


def pod_template(obj: Object, old: Object | None, found: Causes) -> None:
    check_template(obj.get("template") or {}, "template", found)


def check_job_spec(spec: Object, path: str, found: Causes) -> None:
    """A JobSpec, of a Job or in a CronJob."""
    numbers = (
        "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
        "backoffLimitPerIndex", "maxFailedIndexes",
    )
    for key in numbers:
        found.not_negative(f"{path}.{key}", spec.get(key))
    found.one_of(f"{path}.completionMode", spec.get("completionMode"), ("Indexed", "NonIndexed"), is_required=False)
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        found.required(f"{path}.completions", "when completion mode is Indexed")
    if spec.get("backoffLimitPerIndex") is not None and spec.get("completionMode") != "Indexed":
        found.invalid(f"{path}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode")
    template = spec.get("template") or {}
    check_template(template, f"{path}.template", found)
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy == "Always" or not policy:
        found.required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    elif policy not in ("OnFailure", "Never"):
        found.not_supported(f"{path}.template.spec.restartPolicy", policy, ("OnFailure", "Never"))
    failure = spec.get("podFailurePolicy")
    if failure is not None and policy != "Never":
        text = 'only "Never" is supported when podFailurePolicy is specified'
        found.invalid(f"{path}.template.spec.restartPolicy", policy or "", text)


def job(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    check_job_spec(spec, "spec", found)
    if spec.get("selector"):
        _check_match(spec["selector"], spec.get("template") or {}, found)
    if old is None:
        return
    before = old.get("spec") or {}
    if spec.get("completionMode") != "Indexed":
        found.unchanged("spec.completions", spec.get("completions"), before.get("completions"))
    for key in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy"):
        found.unchanged(f"spec.{key}", spec.get(key), before.get(key))
    if not (before.get("suspend") and not (old.get("status") or {}).get("startTime")):
        found.unchanged("spec.template", spec.get("template"), before.get("template"))


def cron_job(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    schedule = spec.get("schedule") or ""
    if not schedule:
        found.required("spec.schedule")
    elif wrong := schedule_wrong(schedule):
        found.invalid("spec.schedule", schedule, wrong)
    if "TZ" in schedule:
        found.invalid("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    zone = spec.get("timeZone")
    if zone is not None and (wrong := _time_zone_wrong(zone)):
        found.invalid("spec.timeZone", zone, wrong)
    _check_numbers(spec, found, "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    found.one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    template = spec.get("jobTemplate") or {}
    check_job_spec(template.get("spec") or {}, "spec.jobTemplate.spec", found)
    if (template.get("spec") or {}).get("manualSelector"):
        found.not_supported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false"))
    if old is None and len(name_of(obj)) > CRON_NAME_LENGTH_MAX:
        found.invalid("metadata.name", name_of(obj), too_long(CRON_NAME_LENGTH_MAX))


def _time_zone_wrong(zone: str) -> str:
    if zone.lower() == "local":
        return "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"unknown time zone {zone}"
    return ""


def autoscaler(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    low, high = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if low is not None and low < 1:
        found.invalid("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        found.invalid("spec.maxReplicas", high, "must be greater than 0")
    elif low is not None and high < low:
        found.invalid("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    for key in ("kind", "name"):
        if not target.get(key):
            found.required(f"spec.scaleTargetRef.{key}")
    kinds = ("ContainerResource", "External", "Object", "Pods", "Resource")
    for index, metric in enumerate(spec.get("metrics") or ()):
        found.one_of(f"spec.metrics[{index}].type", metric.get("type"), kinds)
        source = str(metric.get("type") or "")
        key = source[:1].lower() + source[1:]
        if source in kinds and metric.get(key) is None:
            found.required(f"spec.metrics[{index}].{key}", "must populate information for the given metric source")


VALIDATORS = {
    ("apps", "Deployment"): deployment,
    ("apps", "ReplicaSet"): replica_set,
    ("apps", "StatefulSet"): stateful_set,
    ("apps", "DaemonSet"): daemon_set,
    ("", "ReplicationController"): replication_controller,
    ("", "PodTemplate"): pod_template,
    ("batch", "Job"): job,
    ("batch", "CronJob"): cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaler,
}
