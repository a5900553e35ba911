"""Checks of metadata, on create and on update, and of label selectors.

Spec: k8s.io/apimachinery/pkg/api/validation and pkg/apis/meta/v1/validation.
"""

from collections.abc import Callable, Mapping
from typing import Any

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes

ANNOTATIONS_BYTES_MAX = 256 * 1024
IMMUTABLE = "field is immutable"
NameCheck = Callable[[str], tuple[str, ...]]

_RBAC = "rbac.authorization.k8s.io"
_NAME_CHECKS: Mapping[tuple[str, str], NameCheck] = {
    ("", "Namespace"): names.label_wrong,
    ("", "Service"): names.label_1035_wrong,
    **{(_RBAC, kind): names.path_segment_wrong for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")},
    # Their own validators say what these names must be.
    ("networking.k8s.io", "IPAddress"): lambda name: (),
    ("certificates.k8s.io", "ClusterTrustBundle"): lambda name: (),
}


def check_metadata(resource: Resource, obj: Object, found: Causes) -> None:
    """Metadata of a new or changed object."""
    meta = obj.get("metadata") or {}
    check = _NAME_CHECKS.get((resource.group, resource.kind), names.subdomain_wrong)
    _check_name(meta, check, found)
    _check_namespace(resource, meta, found)
    check_labels(meta.get("labels"), "metadata.labels", found)
    check_annotations(meta.get("annotations"), "metadata.annotations", found)
    _check_owners(meta.get("ownerReferences") or (), found)
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        found.invalid_each(f"metadata.finalizers[{index}]", finalizer, names.qualified_wrong(finalizer))


def check_metadata_update(new: Object, old: Object, found: Causes) -> None:
    """What an update may not change."""
    after, before = new.get("metadata") or {}, old.get("metadata") or {}
    for key in ("name", "namespace", "uid", "creationTimestamp"):
        if after.get(key) is not None or key in ("name", "namespace"):
            found.unchanged(f"metadata.{key}", after.get(key), before.get(key))
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if after.get(key) is not None and after.get(key) != before.get(key):
            found.invalid(f"metadata.{key}", after[key], IMMUTABLE)
    if (after.get("generation") or 0) < (before.get("generation") or 0) and after.get("generation") is not None:
        found.invalid("metadata.generation", after["generation"], "must not be decremented")
    if before.get("deletionTimestamp"):
        added = sorted(set(after.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers {_go_list(added)}"
            found.forbidden("metadata.finalizers", text)


def check_labels(labels: Mapping[str, str] | None, path: str, found: Causes) -> None:
    """Keys and values of labels."""
    for key, value in (labels or {}).items():
        found.invalid_each(path, key, names.qualified_wrong(key))
        found.invalid_each(path, value, names.label_value_wrong(value))


def check_annotations(annotations: Mapping[str, str] | None, path: str, found: Causes) -> None:
    """Keys, and the size of all together."""
    total = 0
    for key, value in (annotations or {}).items():
        found.invalid_each(path, key, names.qualified_wrong(key.lower()))
        total += len(key.encode()) + len(value.encode())
    if total > ANNOTATIONS_BYTES_MAX:
        found.too_long(path, ANNOTATIONS_BYTES_MAX)


def check_selector(selector: Mapping[str, Any] | None, path: str, found: Causes) -> None:
    """A metav1.LabelSelector."""
    if not selector:
        return
    check_labels(selector.get("matchLabels"), f"{path}.matchLabels", found)
    for index, term in enumerate(selector.get("matchExpressions") or ()):
        _check_expression(term, f"{path}.matchExpressions[{index}]", found)


def _check_expression(term: Mapping[str, Any], path: str, found: Causes) -> None:
    operator, values = term.get("operator") or "", term.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            found.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            found.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    else:
        found.invalid(f"{path}.operator", operator, "not a valid selector operator")
    found.invalid_each(f"{path}.key", term.get("key") or "", names.qualified_wrong(term.get("key") or ""))
    for index, value in enumerate(values):
        found.invalid_each(f"{path}.values[{index}]", value, names.label_value_wrong(value))


def _check_name(meta: Object, check: NameCheck, found: Causes) -> None:
    name, prefix = meta.get("name") or "", meta.get("generateName") or ""
    if prefix:
        found.invalid_each("metadata.generateName", prefix, check(names.without_trailing_dashes(prefix)))
    if not name:
        if not prefix:
            found.required("metadata.name", "name or generateName is required")
        return
    found.invalid_each("metadata.name", name, check(name))


def _check_namespace(resource: Resource, meta: Object, found: Causes) -> None:
    namespace = meta.get("namespace") or ""
    if not resource.namespaced:
        if namespace:
            found.forbidden("metadata.namespace", "not allowed on this type")
    elif not namespace:
        found.required("metadata.namespace")
    else:
        found.invalid_each("metadata.namespace", namespace, names.label_wrong(namespace))


def _check_owners(owners: Any, found: Causes) -> None:
    controllers: list[str] = []
    for index, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{index}]"
        for key in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(key):
                found.invalid(f"{path}.{key}", "", "version must not be empty" if key == "apiVersion" else "must not be empty")
        if owner.get("controller"):
            controllers.append(str(owner.get("name")))
    if len(controllers) > 1:
        text = (
            "Only one reference can have Controller set to true. "
            f'Found "true" in references for {controllers[0]} and {controllers[1]}'
        )
        found.invalid("metadata.ownerReferences", list(owners), text)


def _go_list(texts: list[str]) -> str:
    quoted = ", ".join(f'"{text}"' for text in texts)
    return f"[]string{{{quoted}}}"
