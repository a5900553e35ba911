"""Entries as answers: the object, its Table row or its metadata, as JSON or YAML; lists, watch events, Status.

Cost:  JSON objects and lists are the cached bytes, joined; nothing is parsed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
import yaml

from wherry.kit.clock import Clock
from wherry.kit.http.message import Response
from wherry.orchestration.apiserver import tables
from wherry.orchestration.apiserver.call.negotiation import Form, Shape
from wherry.orchestration.apiserver.errors import ApiError
from wherry.orchestration.apiserver.registry.cache import TURN, Cached
from wherry.orchestration.apiserver.registry.served import Served
from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.meta import META_API_VERSION, Object

JSON_TYPE = ("content-type", "application/json")
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
WARNING_BYTES_MAX = 4096  # of all warnings together, as upstream


@dataclass(frozen=True, slots=True)
class Listing:
    """One page. `remaining` is None when it is not known (selectors) or nothing is left."""

    items: list[Cached]
    revision: int
    continue_: str = ""
    remaining: int | None = None


def json_response(body: Object, status: int = 200) -> Response:
    """A document."""
    return Response(status, [JSON_TYPE], orjson.dumps(body))


def document(body: Object, form: Form, status: int = 200) -> Response:
    """A document as JSON or YAML."""
    if form.is_yaml:
        text = yaml.safe_dump(body, sort_keys=False, default_flow_style=False)
        return Response(status, [("content-type", "application/yaml")], text.encode())
    return json_response(body, status)


def error_response(error: ApiError) -> Response:
    """A failure as Status."""
    response = json_response(error.status(), error.code)
    if error.retry_after_s:
        response.headers.append(("retry-after", str(error.retry_after_s)))
    return response


def with_warnings(response: Response, warnings: Sequence[str]) -> Response:
    """Add `Warning: 299` headers (RFC 7234 5.5)."""
    size = 0
    for text in warnings:
        clean = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
        size += len(clean)
        if size > WARNING_BYTES_MAX:
            break
        response.headers.append(("warning", f'299 - "{clean}"'))
    return response


def deleted_status(served: Served, cached: Cached) -> Object:
    """The Status of an object that is gone."""
    metadata = cached.obj()["metadata"]
    details: Object = {"name": cached.name, "kind": served.resource.plural, "uid": metadata["uid"]}
    if served.resource.group:
        details["group"] = served.resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


class Renderer:
    """Renders entries of one `Served` in one `Form`. `include_object` is the Table option."""

    def __init__(self, served: Served, form: Form, clock: Clock, include_object: str = "") -> None:
        self._served = served
        self._form = form
        self._clock = clock
        self._include_object = include_object or "Metadata"

    def one(self, cached: Cached, status: int = 200) -> Response:
        """A single object."""
        if self._form.shape is Shape.OBJECT and not self._form.is_yaml:
            return Response(status, [JSON_TYPE], self._served.data(cached))
        return document(self._shown(cached), self._form, status)

    async def listing(self, page: Listing) -> Response:
        """A list. Tables of many objects are made in turns with other work."""
        metadata: Object = {"resourceVersion": str(page.revision)}
        if page.continue_:
            metadata["continue"] = page.continue_
        if page.remaining:
            metadata["remainingItemCount"] = page.remaining
        served, form = self._served, self._form
        if form.shape is Shape.TABLE and not form.is_yaml:
            return await self._rows(page.items, metadata)
        if form.shape is Shape.TABLE:
            return document(self._table([served.obj(item) for item in page.items], metadata), form)
        if form.shape is Shape.METADATA:
            items = [self._shown(item) for item in page.items]
            return document({"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.version}",
                             "metadata": metadata, "items": items}, form)
        resource = served.resource
        if form.is_yaml:
            objs = [served.obj(item) for item in page.items]
            return document({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata,
                             "items": objs}, form)
        head = orjson.dumps({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata})
        items_bytes = b",".join([served.data(item) for item in page.items])
        return Response(200, [JSON_TYPE], b'%b,"items":[%b]}' % (head[:-1], items_bytes))

    def event(self, kind: str, cached: Cached) -> bytes:
        """A watch event (see `verbs.watching.Encoder`). The same bytes for all who watch in the same form; Tables tell ages."""
        form = self._form
        if form.shape is Shape.TABLE:
            return self._event(kind, cached)
        key = (cached.revision, cached.key, kind, self._served, form.shape, form.version)
        return self._served.cache.lines.of(key, lambda: self._event(kind, cached))

    def _event(self, kind: str, cached: Cached) -> bytes:
        if self._form.shape is Shape.OBJECT:
            return b'{"type":"%b","object":%b}\n' % (kind.encode(), self._served.data(cached))
        return orjson.dumps({"type": kind, "object": self._shown(cached)}) + b"\n"

    def bookmark(self, revision: int, *, ends_initial_events: bool) -> bytes:
        """A BOOKMARK event."""
        resource = self._served.resource
        metadata: Object = {"resourceVersion": str(revision)}
        if ends_initial_events:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        shown: Object = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if self._form.shape is Shape.METADATA:
            shown |= {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{self._form.version}"}
        elif self._form.shape is Shape.TABLE:
            row = {"cells": [], "object": {"kind": "PartialObjectMetadata", "apiVersion": META_API_VERSION,
                                           "metadata": metadata}}
            shown = self._table([], {"resourceVersion": str(revision)}) | {"rows": [row]}
        elif not self._served.is_custom:
            shown = typed(shown, self._served.node).obj
        return orjson.dumps({"type": "BOOKMARK", "object": shown}) + b"\n"

    def error(self, status: Object) -> bytes:
        """An ERROR event."""
        return orjson.dumps({"type": "ERROR", "object": status}) + b"\n"

    def _shown(self, cached: Cached) -> Object:
        obj = self._served.obj(cached)
        if self._form.shape is Shape.TABLE:
            return self._table([obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})
        if self._form.shape is Shape.METADATA:
            return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{self._form.version}",
                    "metadata": obj["metadata"]}
        return obj

    async def _rows(self, items: Sequence[Cached], metadata: Object) -> Response:
        """The rows that are kept with the entries, joined."""
        head = orjson.dumps({**self._table([], metadata), "rows": []})
        now = self._now()
        made: list[bytes] = []
        for start in range(0, len(items), TURN):
            made += [self._row(item, now) for item in items[start:start + TURN]]
            await asyncio.sleep(0)
        return Response(200, [JSON_TYPE], b"%b%b]}" % (head.removesuffix(b"]}"), b",".join(made)))

    def _row(self, cached: Cached, now: datetime) -> bytes:
        served = self._served
        data = served.data(cached)
        views = cached.views = cached.views or {}
        key = (served, "row")
        if key not in views:
            views[key] = tables.row_of(served.printer, served.obj(cached), data)
        kept: tables.Row | None = views[key]
        if kept is not None:
            return kept.shown(now.timestamp(), data, self._include_object)
        return orjson.dumps(self._table([served.obj(cached)], {})["rows"][0])

    def _table(self, objs: list[Object], metadata: Object) -> Object:
        table = tables.render(
            self._served.printer, objs, include_object=self._include_object, now=self._now(), list_meta=metadata)
        return table | {"apiVersion": f"meta.k8s.io/{self._form.version}"}

    def _now(self) -> datetime:
        return self._clock.now()
