"""Checks of the remaining core/v1 kinds: pods, config, namespaces, nodes, quotas, service accounts, events.

Spec: pkg/apis/core/validation.
"""

import base64
from collections.abc import Mapping
from typing import Any

from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import events, names
from wherry.orchestration.objects.validation.causes import Causes
from wherry.orchestration.objects.validation.pod_update import check_pod_update
from wherry.orchestration.objects.validation.pods import TAINT_EFFECTS, check_pod_spec
from wherry.orchestration.objects.validation.resources import check_amount
from wherry.orchestration.objects.validation.services import CIDR_WRONG, is_cidr
from wherry.orchestration.objects.well_known import SECRET_TYPE_SERVICE_ACCOUNT_TOKEN, SECRET_TYPE_TLS

DATA_BYTES_MAX = 1024 * 1024
QUOTA_SCOPES = (
    "BestEffort", "CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating",
    "VolumeAttributesClass",
)
_SECRET_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    SECRET_TYPE_TLS: ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def pod(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    check_pod_spec(spec, "spec", found)
    if old is not None:
        check_pod_update(obj, old, found)
    elif spec.get("ephemeralContainers"):
        found.forbidden("spec.ephemeralContainers", "cannot be set on create")
    if old is None and spec.get("nodeName") and spec.get("schedulingGates"):
        found.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def config_map(obj: Object, old: Object | None, found: Causes) -> None:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for field, entries in (("data", data), ("binaryData", binary)):
        for key in entries:
            found.invalid_each(f"{field}[{key}]", key, names.config_key_wrong(key))
    for key in data.keys() & binary.keys():
        text = "duplicate of key present in data"
        found.invalid(f"binaryData[{key}]", key, text)
    size = sum(len(value.encode()) for value in data.values()) + sum(_decoded_size(v) for v in binary.values())
    if size > DATA_BYTES_MAX:
        found.too_long("", DATA_BYTES_MAX)
    _check_immutable(obj, old, ("data", "binaryData"), found)


def secret(obj: Object, old: Object | None, found: Causes) -> None:
    data = obj.get("data") or {}
    for key in data:
        found.invalid_each(f"data[{key}]", key, names.config_key_wrong(key))
    if sum(_decoded_size(value) for value in data.values()) > DATA_BYTES_MAX:
        found.too_long("data", DATA_BYTES_MAX)
    _check_secret_type(obj, data, found)
    if old is not None:
        found.unchanged("type", obj.get("type"), old.get("type"))
    _check_immutable(obj, old, ("data",), found)


def _check_secret_type(obj: Object, data: Mapping[str, str], found: Causes) -> None:
    kind = obj.get("type") or ""
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            found.required(f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        found.required("data[username]")
        found.required("data[password]")
    elif kind == SECRET_TYPE_SERVICE_ACCOUNT_TOKEN:
        annotations = (obj.get("metadata") or {}).get("annotations") or {}
        if not annotations.get("kubernetes.io/service-account.name"):
            found.required("metadata.annotations[kubernetes.io/service-account.name]")


def _check_immutable(obj: Object, old: Object | None, fields: tuple[str, ...], found: Causes) -> None:
    if old is None or not old.get("immutable"):
        return
    text = "field is immutable when `immutable` is set"
    if not obj.get("immutable"):
        found.forbidden("immutable", text)
    for field in fields:
        if (obj.get(field) or {}) != (old.get(field) or {}):
            found.forbidden(field, text)


def _decoded_size(text: str) -> int:
    return len(base64.b64decode(text, validate=False))


def namespace(obj: Object, old: Object | None, found: Causes) -> None:
    for index, finalizer in enumerate((obj.get("spec") or {}).get("finalizers") or ()):
        path = f"spec.finalizers[{index}]"
        found.invalid_each(path, finalizer, names.qualified_wrong(finalizer))
        if "/" not in finalizer and finalizer != "kubernetes":
            text = "name is neither a standard finalizer name nor is it fully qualified"
            found.invalid(path, finalizer, text)


def node(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    seen: set[tuple[Any, Any]] = set()
    for index, taint in enumerate(spec.get("taints") or ()):
        path, key, effect = f"spec.taints[{index}]", taint.get("key") or "", taint.get("effect")
        found.invalid_each(f"{path}.key", key, names.qualified_wrong(key))
        found.invalid_each(f"{path}.value", taint.get("value") or "", names.label_value_wrong(taint.get("value") or ""))
        found.one_of(f"{path}.effect", effect, TAINT_EFFECTS)
        if (key, effect) in seen:
            found.duplicate(path, taint)
        seen.add((key, effect))
    for index, cidr in enumerate(spec.get("podCIDRs") or ()):
        if not is_cidr(cidr):
            found.invalid(f"spec.podCIDRs[{index}]", cidr, CIDR_WRONG)
    if old is not None:
        before = old.get("spec") or {}
        for key in ("podCIDRs", "providerID"):
            if before.get(key) and spec.get(key) != before[key]:
                found.forbidden(f"spec.{key}", f"node updates may not change {key} except from \"\" to valid")


def service_account(obj: Object, old: Object | None, found: Causes) -> None:
    for key in ("imagePullSecrets", "secrets"):
        for index, ref in enumerate(obj.get(key) or ()):
            if not ref.get("name"):
                found.required(f"{key}[{index}].name")


def limit_range(obj: Object, old: Object | None, found: Causes) -> None:
    seen: set[str] = set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", item.get("type") or ""
        if kind in seen:
            found.duplicate(f"{path}.type", kind)
        seen.add(kind)
        found.invalid_each(f"{path}.type", kind, names.qualified_wrong(kind))
        if kind == "Pod":
            for key in ("default", "defaultRequest"):
                if item.get(key):
                    found.forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'")
        _check_limit_order(item, path, found)


def _check_limit_order(item: Object, path: str, found: Causes) -> None:
    order = (("min", "max"), ("min", "defaultRequest"), ("min", "default"), ("defaultRequest", "max"),
             ("defaultRequest", "default"), ("default", "max"))
    for low, high in order:
        for name, amount in (item.get(low) or {}).items():
            limit = (item.get(high) or {}).get(name)
            if limit is not None and quantity.parse(amount) > quantity.parse(limit):
                text = f"{low} value {amount} is greater than {high} value {limit}"
                found.invalid(f"{path}.{low}[{name}]", amount, text)


def resource_quota(obj: Object, old: Object | None, found: Causes) -> None:
    spec = obj.get("spec") or {}
    for name, amount in (spec.get("hard") or {}).items():
        found.invalid_each(f"spec.hard[{name}]", name, names.qualified_wrong(name))
        check_amount(name, amount, f"spec.hard[{name}]", found)
    for scope in spec.get("scopes") or ():
        if scope not in QUOTA_SCOPES:
            found.invalid("spec.scopes", list(spec["scopes"]), "unsupported scope")
            break
    if old is not None and sorted(spec.get("scopes") or ()) != sorted((old.get("spec") or {}).get("scopes") or ()):
        found.invalid("spec.scopes", spec.get("scopes"), "field is immutable")


def binding(obj: Object, old: Object | None, found: Causes) -> None:
    target = obj.get("target") or {}
    if target.get("kind") not in (None, "", "Node"):
        found.not_supported("target.kind", target["kind"], ("Node", "<empty>"))
    if not target.get("name"):
        found.required("target.name")


VALIDATORS = {
    ("", "Pod"): pod,
    ("", "ConfigMap"): config_map,
    ("", "Secret"): secret,
    ("", "Namespace"): namespace,
    ("", "Node"): node,
    ("", "ServiceAccount"): service_account,
    ("", "Event"): events.event,
    ("events.k8s.io", "Event"): events.event_v1,
    ("", "LimitRange"): limit_range,
    ("", "ResourceQuota"): resource_quota,
    ("", "Binding"): binding,
}
