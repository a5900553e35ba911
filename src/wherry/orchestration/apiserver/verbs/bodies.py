"""Request bodies into objects of the kind the path names, with field validation.

In:    the bytes of a body; the call, whose `fieldValidation` says what happens to unknown and duplicate fields.
Out:   an object the caller owns, with apiVersion, kind and metadata in place.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import orjson

from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.protobuf import decoding as protobuf
from wherry.orchestration.objects.decoding import Decoded, UnsupportedMediaType, decode, strict_error, typed
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.structure import Node

BODY_TYPES = ("application/json", "application/yaml", protobuf.CONTENT_TYPE)


INLINE_BYTES_MAX = 64 * 1024  # a larger body is decoded in a thread: the loop goes on answering
INLINE_YAML_BYTES_MAX = 16 * 1024  # read at some 0.3 MB a second
WORKED_BYTES_MAX = 16 * 1024  # of an object and what changes it: merged, owned and validated at some 0.6 MB a second
_BESIDE = ThreadPoolExecutor(1, "beside")  # one: large requests of many clients wait for each other, never the loop for them

Read = TypeVar("Read")


def inline_bytes(content_type: str) -> int:
    """How long a body of this type may be to be decoded on the event loop; reviews may not be longer at all."""
    return INLINE_YAML_BYTES_MAX if "yaml" in content_type else INLINE_BYTES_MAX


async def decoded(call: Call, body: bytes, read: Callable[[bytes], Read]) -> Read:
    """`read(body)`, off the event loop when the body is long."""
    call.body_bytes = len(body)
    return await beside(len(body), lambda: read(body), inline_bytes(call.request.headers.get("content-type", "")))


async def beside(size_bytes: int, work: Callable[[], Read], inline_bytes_max: int = WORKED_BYTES_MAX) -> Read:
    """`work()`, off the event loop when it is about more bytes than the loop may be held up by."""
    if size_bytes <= inline_bytes_max:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_BESIDE, work)


def decode_body(body: bytes, content_type: str) -> Decoded:
    """Any object. Raise `ApiError` 400 or 415."""
    try:
        if content_type.startswith(protobuf.CONTENT_TYPE):
            return Decoded(protobuf.decode(body))
        return decode(body, content_type)
    except UnsupportedMediaType as error:
        raise errors.unsupported_media_type(BODY_TYPES) from error
    except Invalid as error:
        raise errors.bad_request(str(error)) from error


def read_typed(body: bytes, content_type: str, node: Node, *, api_version: str = "", kind: str = "") -> Object:
    """A body that is no stored object (Binding, Scale, DeleteOptions, reviews): every value has its field's type.

    With `kind`, another kind is refused and a missing one filled in.
    """
    obj = decode_body(body, content_type).obj
    if kind:
        check_kind(obj, api_version, kind)
    return typed_or_refuse(obj, node)


def typed_or_refuse(obj: Object, node: Node) -> Object:
    """`obj` fitted to `node`. Raise `ApiError` 400."""
    try:
        return typed(obj, node).obj
    except Invalid as error:
        raise errors.bad_request(str(error)) from error


def read_object(call: Call, body: bytes) -> Object:
    """The object of a create or update."""
    decoded = decode_body(body, call.request.headers.get("content-type", ""))
    return fit(call, decoded.obj, decoded.duplicate_fields)


def fit(call: Call, obj: Object, duplicates: tuple[str, ...] = (), patch: bytes | None = None) -> Object:
    """Check the kind, drop what is unknown (or refuse it). `patch`: the body that made the object, for the refusal."""
    resource = call.served.resource
    check_kind(obj, resource.api_version, resource.kind)
    try:
        read, unknown = call.served.rules.read(obj)
    except Invalid as error:
        if isinstance(error, errors.ApiError):
            raise
        raise errors.bad_request(str(error)) from error
    texts = (*unknown, *duplicates)
    if texts and call.field_validation == "Strict":
        if patch is not None:
            value = f"Invalid value: {orjson.dumps(patch.decode(errors='replace')).decode()}: {strict_error(texts)}"
            raise errors.invalid("", "", "", [errors.cause("FieldValueInvalid", "patch", value)])
        raise errors.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"{strict_error(texts)}")
    if call.field_validation == "Warn":
        for text in texts:
            call.warn(text)
    if not isinstance(read.get("metadata"), dict):
        read["metadata"] = {}
    return read


def check_kind(obj: Object, api_version: str, kind: str) -> None:
    """Fill in a missing apiVersion and kind; refuse others."""
    found_version, found_kind = obj.get("apiVersion") or api_version, obj.get("kind") or kind
    if found_version != api_version:
        raise errors.bad_request(f"the API version in the data ({found_version}) does not match the expected API "
                                 f"version ({api_version})")
    if found_kind != kind:
        raise errors.bad_request(f"the kind in the data ({found_kind}) does not match the expected kind ({kind})")
    obj["apiVersion"], obj["kind"] = api_version, kind
