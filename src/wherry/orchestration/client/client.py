"""The Kubernetes API as coroutines over plain objects, on any transport.

In:    a `Resource` (objects.kinds, or made for a custom resource), names, objects as JSON dicts.
Out:   objects with apiVersion and kind always set; failures as `client.errors`.
Spec:  Kubernetes API conventions; API concepts (list, watch, patch, apply).
Never: retries, caches (see `informer.py`), mutates what it is given.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from wherry.orchestration.client import errors
from wherry.orchestration.client.transport import Call, Reply, Stream, Transport, whole
from wherry.orchestration.objects.meta import Object, name_of, namespace_of
from wherry.orchestration.objects.resources import Resource

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
METADATA_ONLY = "application/json;as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1,application/json"

WATCH_TIMEOUT_S = 480  # asked of the server; upstream's reflectors ask for 300 to 600
WATCH_SILENCE_S = 540.0  # past it the connection is dead, not quiet
LINE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ObjectList:
    """One page of a list. `continue_` is "" on the last one; `remaining` is the server's estimate of what follows."""

    items: list[Object]
    revision: str
    continue_: str = ""
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK with its object. ERROR events are raised as errors instead."""

    type: str
    object: Object


class Client:
    """Calls one API server as one user. Safe to share between tasks."""

    def __init__(self, transport: Transport, *, user_agent: str = "wherry") -> None:
        self._transport = transport
        self._agent = user_agent

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Object:
        """One object."""
        return await self._object(resource, Call("GET", resource.path(namespace, name, subresource)))

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_: str = "",
        revision: str = "",
        metadata_only: bool = False,
    ) -> ObjectList:
        """One page; everything when `limit` is 0. `namespace` "" means all."""
        query = _query(
            labelSelector=labels, fieldSelector=fields, limit=str(limit or ""), resourceVersion=revision,
            **{"continue": continue_},
        )  # fmt: skip
        headers = {"accept": METADATA_ONLY.format(list="List")} if metadata_only else {}
        found = await self._call(Call("GET", resource.path(namespace), query, headers=headers))
        metadata = found.get("metadata") or {}
        items = [_typed(resource, item) for item in found.get("items") or ()]
        return ObjectList(
            items,
            str(metadata.get("resourceVersion") or ""),
            str(metadata.get("continue") or ""),
            int(metadata.get("remainingItemCount") or 0),
        )

    async def create(
        self, resource: Resource, obj: Object, namespace: str = "", *, field_manager: str = ""
    ) -> Object:
        """Create `obj` in its own namespace or, when it names none, in `namespace`."""
        path = resource.path(namespace_of(obj) or namespace)
        return await self._write(resource, "POST", path, obj, _query(fieldManager=field_manager))

    async def update(self, resource: Resource, obj: Object, *, subresource: str = "", field_manager: str = "") -> Object:
        """Replace the object; a resourceVersion in it makes that conditional."""
        path = resource.path(namespace_of(obj), name_of(obj), subresource)
        return await self._write(resource, "PUT", path, obj, _query(fieldManager=field_manager))

    async def update_status(self, resource: Resource, obj: Object, *, field_manager: str = "") -> Object:
        """Replace the status only."""
        return await self.update(resource, obj, subresource="status", field_manager=field_manager)

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        body: Any,
        *,
        content_type: str = MERGE_PATCH,
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        """Patch one object; `body` is JSON data, or bytes sent as they are."""
        call = Call(
            "PATCH",
            resource.path(namespace, name, subresource),
            _query(fieldManager=field_manager, force="true" if force else ""),
            body if isinstance(body, bytes) else orjson.dumps(body),
            {"content-type": content_type},
        )
        return await self._object(resource, call)

    async def apply(
        self, resource: Resource, obj: Object, *, field_manager: str, force: bool = True, subresource: str = ""
    ) -> Object:
        """Server-side apply: create or bring to `obj` the fields that it names."""
        typed = _typed(resource, dict(obj))
        return await self.patch(
            resource, name_of(obj), namespace_of(obj), typed, content_type=APPLY_PATCH,
            subresource=subresource, field_manager=field_manager, force=force,
        )  # fmt: skip

    async def patch_status(self, resource: Resource, name: str, namespace: str, body: Any) -> Object:
        """Merge-patch the status subresource; `body` is the whole patch, such as `{"status": {...}}`."""
        return await self.patch(resource, name, namespace, body, subresource="status")

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        revision: str = "",
        propagation: str = "",
        grace_s: int | None = None,
    ) -> Object:
        """Delete; returns the Status or the object still waiting for its finalizers or grace period."""
        options = _delete_options(propagation, grace_s, uid=uid, revision=revision)
        return await self._call(_json("DELETE", resource.path(namespace, name), options))

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        propagation: str = "",
        grace_s: int | None = None,
    ) -> None:
        """Delete every object that matches."""
        query = _query(labelSelector=labels, fieldSelector=fields)
        await self._call(_json("DELETE", resource.path(namespace), _delete_options(propagation, grace_s), query))

    async def create_subresource(
        self, resource: Resource, name: str, namespace: str, subresource: str, body: Object
    ) -> Object:
        """POST to a subresource: binding, eviction, token."""
        return await self._call(_json("POST", resource.path(namespace, name, subresource), body))

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        revision: str,
        labels: str = "",
        fields: str = "",
        timeout_s: int = WATCH_TIMEOUT_S,
        metadata_only: bool = False,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Changes after `revision`, with bookmarks, until the server ends the watch.

        Raises what an ERROR event carries (`errors.Expired`: list again).
        """
        query = _query(
            watch="true", allowWatchBookmarks="true", resourceVersion=revision, timeoutSeconds=str(timeout_s),
            labelSelector=labels, fieldSelector=fields,
        )  # fmt: skip
        headers = {"accept": METADATA_ONLY.format(list="")} if metadata_only else {}
        async with self.stream("GET", resource.path(namespace), query=dict(query), headers=headers) as stream:
            async for line in _lines(stream.chunks):
                event = _parsed(line, "a watch event")
                if event["type"] == "ERROR":
                    raise errors.from_status(event["object"])
                yield WatchEvent(event["type"], _typed(resource, event["object"]))

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Any call; failures are replies, not exceptions."""
        call = Call(method, path, tuple((query or {}).items()), body, self._headers(headers, has_body=bool(body)))
        return await self._transport.send(call)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        silence_s: float = WATCH_SILENCE_S,
    ) -> AsyncIterator[Stream]:
        """A call whose answer is read part by part (logs, watches); failures are raised."""
        sent = self._headers(headers, has_body=bool(body))
        call = Call(method, path, tuple((query or {}).items()), body, sent, silence_s)
        async with self._transport.stream(call) as stream:
            if stream.status >= 400:
                raise errors.from_reply(stream.status, await whole(stream.chunks))
            yield stream

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.close()

    async def _write(
        self, resource: Resource, method: str, path: str, obj: Object, query: tuple[tuple[str, str], ...]
    ) -> Object:
        body = obj if "kind" in obj and "apiVersion" in obj else _typed(resource, dict(obj))
        return await self._object(resource, _json(method, path, body, query))

    async def _object(self, resource: Resource, call: Call) -> Object:
        return _typed(resource, await self._call(call))

    async def _call(self, call: Call) -> Object:
        headers = self._headers(call.headers, has_body=bool(call.body))
        reply = await self._transport.send(Call(call.method, call.path, call.query, call.body, headers))
        if reply.status >= 400:
            raise errors.from_reply(reply.status, reply.body)
        return _parsed(reply.body, f"the answer to {call.method} {call.path}") if reply.body else {}

    def _headers(self, given: Mapping[str, str] | None, *, has_body: bool) -> dict[str, str]:
        headers = {"accept": "application/json", "user-agent": self._agent}
        if has_body:
            headers["content-type"] = "application/json"
        headers.update(given or {})
        return headers


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Newline-delimited documents; one longer than `LINE_BYTES_MAX` ends the stream with an error."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise errors.Unreachable(f"a watch event is longer than {LINE_BYTES_MAX} bytes")
        for line in lines:
            if line.strip():
                yield line
    if rest.strip():
        yield rest


def _parsed(text: bytes, what: str) -> Object:
    """A document cut off by a dying connection is no answer at all."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise errors.Unreachable(f"{what} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise errors.Unreachable(f"{what} is not an object")
    return found


def _typed(resource: Resource, obj: Object) -> Object:
    """Items of lists carry no apiVersion and kind on the wire; here every object does."""
    if "kind" not in obj or "apiVersion" not in obj:
        obj["apiVersion"] = resource.api_version
        obj["kind"] = resource.kind
    return obj


def _query(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values.items() if value)


def _json(method: str, path: str, body: Object, query: tuple[tuple[str, str], ...] = ()) -> Call:
    return Call(method, path, query, orjson.dumps(body) if body else b"")


def _delete_options(propagation: str, grace_s: int | None, *, uid: str = "", revision: str = "") -> Object:
    options: Object = {}
    if propagation:
        options["propagationPolicy"] = propagation
    if grace_s is not None:
        options["gracePeriodSeconds"] = grace_s
    if uid or revision:
        conditions = {"uid": uid, "resourceVersion": revision}
        options["preconditions"] = {name: value for name, value in conditions.items() if value}
    return {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else {}
