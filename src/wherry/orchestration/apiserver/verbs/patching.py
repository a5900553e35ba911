"""PATCH bodies of the four kinds as functions from the newest object to the new one.

In:    the body and its Content-Type.
Out:   a `Patch`: pure, so that the writer may apply it again after losing a race.
Spec:  RFC 6902, RFC 7386, strategic merge patch, server-side apply
       (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from wherry.kit.clock import Clock
from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.request import TRUE, Call
from wherry.orchestration.apiserver.verbs.bodies import check_kind, decode_body, fit
from wherry.orchestration.objects.apply import ApplyConflict, apply_patch
from wherry.orchestration.objects.decoding import check_budget, unknown_fields
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.patch import json_patch, merge_patch, strategic
from wherry.orchestration.objects.structure import ANY, Node

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
CUSTOM_TYPES = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)


@dataclass(frozen=True, slots=True)
class Patch:
    """`change` makes the new object. `applied` is the body of a server-side apply, whose object may not exist yet."""

    change: Callable[[Object], Object]
    applied: Object | None = None
    create: Callable[[], Object] | None = None


def read_patch(call: Call, body: bytes, clock: Clock, subresource: str = "") -> Patch:
    """Raise `ApiError` 400, 415 or 422."""
    content_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    supported = CUSTOM_TYPES if call.served.is_custom else TYPES
    if content_type not in supported:
        raise errors.unsupported_media_type(supported)
    if content_type == APPLY_PATCH:
        return _apply(call, body, clock, subresource)
    if "force" in call.request.query:
        raise _option("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch")
    return Patch(_plain(call, body, content_type))


def _option(name: str, reason: str, message: str) -> errors.ApiError:
    return errors.invalid("meta.k8s.io", "PatchOptions", "", [errors.cause(reason, name, message)])


def read_plain(content_type: str, body: bytes, node: Node) -> Callable[[Object], Object]:
    """The change of a JSON, merge or strategic patch to a document that is no resource (Scale)."""
    if content_type not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise errors.unsupported_media_type((JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH))
    return _change(content_type, _document(content_type, body)[0], node)


def _document(content_type: str, body: bytes) -> tuple[Any, tuple[str, ...]]:
    if content_type == JSON_PATCH:
        try:
            check_budget(body)
            operations = orjson.loads(body)
        except (Invalid, orjson.JSONDecodeError) as error:
            raise errors.bad_request(f"error decoding patch: {error}") from error
        if not isinstance(operations, list):
            raise errors.bad_request("error decoding patch: json: cannot unmarshal object into a list of operations")
        return operations, ()
    decoded = decode_body(body, "application/json")
    return decoded.obj, decoded.duplicate_fields


def _change(content_type: str, document: Any, node: Node) -> Callable[[Object], Object]:
    def change(old: Object) -> Object:
        try:
            if content_type == JSON_PATCH:
                new = json_patch.apply(old, document)
            elif content_type == MERGE_PATCH:
                new = merge_patch.apply(old, document)
            else:
                new = strategic.apply(old, document, node)
        except Invalid as error:
            raise errors.ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: "
                                  f"{error}") from error
        if not isinstance(new, dict):
            raise errors.bad_request("the patch does not leave an object")
        return new

    return change


def _plain(call: Call, body: bytes, content_type: str) -> Callable[[Object], Object]:
    document, duplicates = _document(content_type, body)
    inner = _change(content_type, document, call.served.node if content_type == STRATEGIC_PATCH else ANY)

    def change(old: Object) -> Object:
        new = inner(old)
        if not isinstance(new.get("metadata"), dict):
            raise errors.bad_request("the patch does not leave an object with metadata")
        return fit(call, new, duplicates, body)

    return change


def _apply(call: Call, body: bytes, clock: Clock, subresource: str) -> Patch:
    resource = call.served.resource
    applied, duplicates = read_applied(call, body, resource.api_version, resource.kind)
    _report(call, [*unknown_fields(applied, call.served.node), *duplicates])
    merged = merging(call, applied, clock, subresource)
    return Patch(merged, applied, lambda: merged(None))


def read_applied(call: Call, body: bytes, api_version: str, kind: str) -> tuple[Object, tuple[str, ...]]:
    """The body of an apply for the object the path names, and its duplicate fields. Raise `ApiError` 400 or 422."""
    if not call.request.param("fieldManager"):
        raise _option("fieldManager", "FieldValueRequired", "Required value: is required for apply patch")
    decoded = decode_body(body, APPLY_PATCH)
    applied = decoded.obj
    if not applied.get("apiVersion") or not applied.get("kind"):
        raise errors.bad_request("error decoding YAML: Object 'Kind' is missing")
    check_kind(applied, api_version, kind)
    if not isinstance(applied.get("metadata"), dict):
        applied["metadata"] = {}
    _check_applied_metadata(call, applied)
    return applied, decoded.duplicate_fields


def merging(call: Call, applied: Object, clock: Clock, subresource: str) -> Callable[[Object | None], Object]:
    """`applied` into an object of the resource the path names, by the `fieldManager` and `force` of the request."""
    served = call.served
    manager, is_forced = call.request.param("fieldManager"), call.request.param("force") in TRUE

    def merged(live: Object | None) -> Object:
        try:
            new = apply_patch(
                live, applied, served.node, manager=manager, api_version=served.resource.api_version,
                force=is_forced, subresource=subresource, now=clock.now(),
                reset=served.strategy.not_written(subresource))
        except ApplyConflict as error:
            raise errors.apply_conflict(str(error), [errors.cause(c.reason, c.field, c.message) for c in error.causes]) from error
        except Invalid as error:
            raise errors.bad_request(str(error)) from error
        if live is not None:  # what nobody can own, but which says which object is meant
            for name in ("uid", "resourceVersion"):
                new["metadata"][name] = applied["metadata"].get(name) or live["metadata"][name]
        return _fit_quietly(call, new)

    return merged


def _check_applied_metadata(call: Call, applied: Object) -> None:
    metadata, name = applied["metadata"], call.target.name
    if metadata.get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    if metadata.setdefault("name", name) != name:
        raise errors.bad_request(f"the name of the object ({name_of(applied)}) does not match the name on the URL ({name})")
    if call.namespace and metadata.setdefault("namespace", call.namespace) != call.namespace:
        raise errors.bad_request("the namespace of the provided object does not match the namespace sent on the request")


def _report(call: Call, texts: list[str]) -> None:
    if texts and call.field_validation == "Strict":
        raise errors.bad_request(f"failed to create typed patch object ({call.namespace}/{call.target.name}; "
                                 f"{call.served.resource.api_version}, Kind={call.served.resource.kind}): "
                                 f"strict decoding error: {', '.join(texts)}")
    if call.field_validation == "Warn":
        for text in texts:
            call.warn(text)


def _fit_quietly(call: Call, obj: Object) -> Object:
    """Unknown fields of the applied body have been reported; those of the live object are not this caller's."""
    try:
        read, _ = call.served.rules.read(obj)
    except Invalid as error:
        if isinstance(error, errors.ApiError):
            raise
        raise errors.bad_request(str(error)) from error
    return read
