"""Defaults of the remaining core/v1 kinds.

Spec: pkg/apis/core/v1 defaults of Kubernetes 1.37.
"""

from wherry.orchestration.objects.defaulting.fill import each, fill, section
from wherry.orchestration.objects.defaulting.pods import fill_pod
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.well_known import LABEL_METADATA_NAME


def _secret(obj: Object) -> None:
    fill(obj, type="Opaque")


def _namespace(obj: Object) -> None:
    fill(section(obj, "status"), phase="Active")
    section(obj, "spec")
    if name := name_of(obj):
        section(section(obj, "metadata"), "labels")[LABEL_METADATA_NAME] = name


def _node(obj: Object) -> None:
    section(obj, "spec")
    status = section(obj, "status")
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _limit_range(obj: Object) -> None:
    for item in each(section(obj, "spec"), "limits"):
        if item.get("type") != "Container":
            continue
        for target, source in (("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")):
            if item.get(source):
                for name, amount in item[source].items():
                    section(item, target).setdefault(name, amount)


def _with_status(obj: Object) -> None:
    section(obj, "spec")
    section(obj, "status")


DEFAULTERS = {
    ("", "Pod"): fill_pod,
    ("", "Secret"): _secret,
    ("", "Namespace"): _namespace,
    ("", "Node"): _node,
    ("", "LimitRange"): _limit_range,
    ("", "ResourceQuota"): _with_status,
}
