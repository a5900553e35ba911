"""podFailurePolicy and successPolicy: pure.

Spec:  Kubernetes pkg/controller/job/{pod_failure_policy,success_policy}.go; message texts are theirs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.orchestration.controllers.job.indexes import parse
from wherry.orchestration.objects.meta import Object, condition_of, name_of, namespace_of

COUNT, FAIL_JOB, FAIL_INDEX, IGNORE = "Count", "FailJob", "FailIndex", "Ignore"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed pod means to its Job; `message` is set when a rule matched."""

    action: str
    message: str = ""


def judge(job: Object, pod: Object) -> Verdict:
    """The first rule that matches a failed pod decides; without one the failure counts."""
    per_index = job["spec"].get("backoffLimitPerIndex") is not None
    for index, rule in enumerate((job["spec"].get("podFailurePolicy") or {}).get("rules") or ()):
        action = rule["action"]
        if action == FAIL_INDEX and not per_index:
            continue
        if message := _exit_codes(rule, pod, index) or _conditions(rule, pod, index):
            return Verdict(action, message)
    return Verdict(COUNT)


def _exit_codes(rule: Mapping[str, Any], pod: Object, index: int) -> str:
    wanted = rule.get("onExitCodes")
    if not wanted:
        return ""
    for container, code in _failed_containers(pod):
        if wanted.get("containerName") not in (None, container):
            continue
        if (code in wanted["values"]) == (wanted["operator"] == "In"):
            where = f"pod {namespace_of(pod)}/{name_of(pod)}"
            return (
                f"Container {container} for {where} failed with exit code {code} "
                f"matching {rule['action']} rule at index {index}"
            )
    return ""


def _failed_containers(pod: Object) -> Iterator[tuple[str, int]]:
    status = pod.get("status") or {}
    for container in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        terminated = (container.get("state") or {}).get("terminated")
        if terminated and terminated.get("exitCode"):
            yield container["name"], int(terminated["exitCode"])


def _conditions(rule: Mapping[str, Any], pod: Object, index: int) -> str:
    for pattern in rule.get("onPodConditions") or ():
        found = condition_of((pod.get("status") or {}).get("conditions"), pattern["type"])
        if found is not None and found.get("status") == pattern.get("status", "True"):
            return (
                f"Pod {namespace_of(pod)}/{name_of(pod)} has condition {pattern['type']} "
                f"matching {rule['action']} rule at index {index}"
            )
    return ""


def success_message(job: Object, succeeded: set[int]) -> str:
    """The message of the first successPolicy rule that holds, "" when none does."""
    completions = int(job["spec"].get("completions") or 0)
    for index, rule in enumerate((job["spec"].get("successPolicy") or {}).get("rules") or ()):
        count = rule.get("succeededCount")
        found = succeeded
        if rule.get("succeededIndexes") is not None:
            wanted = parse(rule["succeededIndexes"], completions)
            found = succeeded & wanted
            count = len(wanted) if count is None else count
        if count is not None and len(found) >= count:
            return f"Matched rules at index {index}"
    return ""
