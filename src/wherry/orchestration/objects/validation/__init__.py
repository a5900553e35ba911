"""Whether an object may be stored: `validate` is the one door.

In:    a decoded and defaulted object, and the one it replaces on update.
Out:   causes with upstream's reasons and texts, empty when all is well. `invalid_message` makes the 422 message of them.
Spec:  pkg/apis/*/validation of Kubernetes 1.37.
Never: reads other objects (admission and quota do), allocates, or checks custom resources beyond their metadata
       (`CompiledSchema.validate` does).
"""

from collections.abc import Callable, Mapping

from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.structure import Node, Shape
from wherry.orchestration.objects.validation import admission, core, other, services, storage, workloads
from wherry.orchestration.objects.validation.causes import Cause, Causes, invalid_message
from wherry.orchestration.objects.validation.metadata import check_metadata, check_metadata_update
from wherry.orchestration.objects.validation.pod_update import check_ephemeral_containers, check_resize
from wherry.orchestration.objects.validation.pods import check_pod_spec

__all__ = ["Cause", "Causes", "invalid_message", "validate"]

Validator = Callable[[Object, Object | None, Causes], None]

_BY_KIND: Mapping[tuple[str, str], Validator] = {
    **core.VALIDATORS,
    **services.VALIDATORS,
    **workloads.VALIDATORS,
    **storage.VALIDATORS,
    **admission.VALIDATORS,
    **other.VALIDATORS,
}
_REQUEST_ONLY_GROUPS = ("authentication.k8s.io", "authorization.k8s.io")


def validate(resource: Resource, obj: Object, old: Object | None = None, *, subresource: str = "") -> list[Cause]:
    """Every cause to refuse `obj`. `old` is None on create.

    `subresource` "status" (or "approval", "finalize") checks metadata only; "ephemeralcontainers" and "resize" what
    those may change. Objects of the review kinds are not stored: nothing is checked.
    """
    found = Causes()
    if resource.group in _REQUEST_ONLY_GROUPS:
        return found
    check_metadata(resource, obj, found)
    if old is not None:
        check_metadata_update(obj, old, found)
    if subresource in ("ephemeralcontainers", "resize") and old is not None:
        _check_pod_subresource(subresource, obj, old, found)
    elif not subresource:
        _check_whole(resource, obj, old, found)
    return found


def _check_whole(resource: Resource, obj: Object, old: Object | None, found: Causes) -> None:
    validator = _BY_KIND.get((resource.group, resource.kind))
    if validator is not None:
        validator(obj, old, found)
        return
    node = structure_of(resource.api_version, resource.kind)
    if node is not None:
        _check_required(obj, node, "", found)


def _check_pod_subresource(subresource: str, obj: Object, old: Object, found: Causes) -> None:
    if subresource == "resize":
        check_resize(obj, old, found)
    else:
        check_ephemeral_containers(obj, old, found)
    check_pod_spec(obj.get("spec") or {}, "spec", found)


def _check_required(obj: Object, node: Node, path: str, found: Causes) -> None:
    """Kinds without their own validator: text, object and list fields the schema requires, outside status."""
    for name in node.required:
        sub = node.fields.get(name)
        wanted = sub is not None and sub.shape in (Shape.STRING, Shape.OBJECT)
        if wanted and obj.get(name) in (None, "") and not (not path and name in ("metadata", "status")):
            found.required(f"{path}{name}")
    for name, value in obj.items():
        sub = node.fields.get(name)
        if sub is None or (not path and name in ("metadata", "status")):
            continue
        if sub.shape is Shape.OBJECT and isinstance(value, dict):
            _check_required(value, sub, f"{path}{name}.", found)
        elif sub.shape is Shape.LIST and sub.item is not None and sub.item.shape is Shape.OBJECT:
            for index, item in enumerate(value or ()):
                _check_required(item, sub.item, f"{path}{name}[{index}].", found)
