"""A small API server in memory, for unit tests of clients and controllers: no validation, defaults, RBAC or admission.

In:    requests as the real server takes them (REST paths, JSON, merge patches), any resource, no registration.
Out:   objects with uid, generation, resourceVersion; conflicts, finalizers, preconditions, watches with history, 410.
Never: stands in for the real server in integration tests; those use `wherry.testing.api`.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson

from wherry.kit.clock import Clock, SystemClock, rfc3339
from wherry.kit.http.message import Request, Response
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.local_transport import LocalTransport
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.selectors import parse_fields, parse_labels

_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>.+))?)?"
)
Key = tuple[str, str, str]  # group/plural, namespace, name


@dataclass(frozen=True, slots=True)
class _Target:
    kind: str
    namespace: str
    name: str
    sub: str

    @property
    def key(self) -> Key:
        return (self.kind, self.namespace, self.name)


class Refused(Exception):
    """Answered as a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(message)


@dataclass(slots=True)
class FakeApi:
    """`client()` talks to it; `fault` and `loss` may raise `Refused` for a (method, path); `calls` lists what was asked."""

    clock: Clock = field(default_factory=SystemClock)
    fault: Callable[[str, str], None] | None = None  # asked before the call is done
    loss: Callable[[str, str], None] | None = None  # asked after it is done, before the answer
    graceful_pods: bool = False  # deleted pods on a node stay with a deletionTimestamp, as the kubelet's grace does
    bookmarks: bool = False  # send one after each event
    calls: list[tuple[str, str]] = field(default_factory=list)
    objects: dict[Key, Object] = field(default_factory=dict)
    oldest: int = 0
    _history: list[tuple[int, str, Key, Object]] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _newest: int = 0
    _hang_up: int = 0

    def client(self) -> Client:
        """A client of this server."""
        return Client(LocalTransport(self.handle, "fake"))

    def all(self, resource: Resource, namespace: str = "") -> list[Object]:
        """Copies of what is stored, by name."""
        kind = f"{resource.group}/{resource.plural}"
        found = [o for (k, ns, _), o in sorted(self.objects.items()) if k == kind and namespace in ("", ns)]
        return deepcopy(found)

    def find(self, resource: Resource, name: str, namespace: str = "default") -> Object | None:
        """A copy of one object."""
        where = namespace if resource.namespaced else ""
        return deepcopy(self.objects.get((f"{resource.group}/{resource.plural}", where, name)))

    def compact(self) -> None:
        """Forget history: watches from before now are answered 410."""
        self.oldest = self._newest
        self._history.clear()

    async def hang_up(self) -> None:
        """End every open watch."""
        async with self._changed:
            self._hang_up += 1
            self._changed.notify_all()

    async def handle(self, request: Request) -> Response:
        """The server."""
        self.calls.append((request.method, request.path))
        try:
            if self.fault is not None:
                self.fault(request.method, request.path)
            response = await self._route(request)
            if self.loss is not None:
                self.loss(request.method, request.path)
            return response
        except Refused as refused:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(refused),
                      "reason": refused.reason, "code": refused.code}  # fmt: skip
            return _json(status, refused.code)

    async def _route(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        if found is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        parts = {name: value or "" for name, value in found.groupdict().items()}
        target = _Target(f"{parts['group']}/{parts['plural']}", parts["namespace"], parts["name"], parts["sub"])
        if request.param("watch") == "true":
            return Response(body=self._watch(target, request))
        body = orjson.loads(await request.read(1 << 24) or b"{}")
        match request.method, bool(target.name):
            case "GET", True:
                return _json(self._need(target))
            case "GET", False:
                return _json(self._list(target, request))
            case "POST", False:
                return _json(await self._create(target, body), 201)
            case "PUT", True:
                return _json(await self._update(target, body))
            case "PATCH", True:
                return _json(await self._update(target, merged(deepcopy(self._need(target)), body)))
            case "DELETE", True:
                return _json(await self._delete(target, body))
        raise Refused(405, "MethodNotAllowed", f"{request.method} {request.path}")

    def _need(self, target: _Target) -> Object:
        obj = self.objects.get(target.key)
        if obj is None:
            raise Refused(404, "NotFound", f'{target.kind.split("/")[1]} "{target.name}" not found')
        return obj

    def _list(self, target: _Target, request: Request) -> Object:
        found = [o for key, o in sorted(self.objects.items()) if _selected(target, request, key, o)]
        start = int(request.param("continue") or 0)
        limit = int(request.param("limit") or 0) or len(found)
        page, rest = found[start : start + limit], found[start + limit :]
        metadata = {"resourceVersion": str(self._newest)}
        if rest:
            metadata["continue"] = str(start + limit)
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page}

    async def _create(self, target: _Target, obj: Object) -> Object:
        metadata = obj.setdefault("metadata", {})
        if target.namespace:
            metadata["namespace"] = target.namespace
        if not metadata.get("name"):
            metadata["name"] = f"{metadata.get('generateName', '')}{self._newest:05x}"
        key = (target.kind, metadata.get("namespace", ""), metadata["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{target.kind.split("/")[1]} "{metadata["name"]}" already exists')
        metadata["uid"] = f"uid-{metadata['name']}-{self._newest}"
        metadata["creationTimestamp"] = rfc3339(self.clock.now())
        metadata["generation"] = 1
        return await self._store("ADDED", key, obj)

    async def _update(self, target: _Target, new: Object) -> Object:
        old = self._need(target)
        want, uid = new["metadata"].get("resourceVersion"), new["metadata"].get("uid")
        if want and want != old["metadata"]["resourceVersion"] or uid and uid != old["metadata"]["uid"]:
            raise Refused(409, "Conflict", f'Operation cannot be fulfilled on "{target.name}": object was modified')
        if target.sub == "status":
            new = {**deepcopy(old), "metadata": new["metadata"], "status": new.get("status", {})}
        elif "status" in old:
            new["status"] = old["status"]
        metadata = new["metadata"]
        for fixed in ("uid", "creationTimestamp", "deletionTimestamp", "generation", "name", "namespace"):
            if fixed in old["metadata"]:
                metadata[fixed] = old["metadata"][fixed]
        if {**new, "metadata": {**metadata, "resourceVersion": 0}} == {
            **old, "metadata": {**old["metadata"], "resourceVersion": 0}
        }:  # fmt: skip
            return old
        if new.get("spec") != old.get("spec"):
            metadata["generation"] = old["metadata"].get("generation", 1) + 1
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers") and not self._in_grace(target, new):
            return await self._remove(target.key, new)
        return await self._store("MODIFIED", target.key, new)

    async def _delete(self, target: _Target, options: Object) -> Object:
        obj = deepcopy(self._need(target))
        uid = (options.get("preconditions") or {}).get("uid")
        if uid and uid != obj["metadata"]["uid"]:
            raise Refused(409, "Conflict", "the UID in the precondition does not match the UID in record")
        finalizers = list(obj["metadata"].get("finalizers") or ())
        for policy, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
            if options.get("propagationPolicy") == policy and finalizer not in finalizers:
                finalizers.append(finalizer)
        if finalizers:
            obj["metadata"]["finalizers"] = finalizers
        if not finalizers and (not self._in_grace(target, obj) or options.get("gracePeriodSeconds") == 0):
            return await self._remove(target.key, obj)
        obj["metadata"].setdefault("deletionTimestamp", rfc3339(self.clock.now()))
        return await self._store("MODIFIED", target.key, obj)

    def _in_grace(self, target: _Target, obj: Object) -> bool:
        running = obj.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        return self.graceful_pods and target.kind == "/pods" and bool(obj["spec"].get("nodeName")) and running

    async def _remove(self, key: Key, obj: Object) -> Object:
        stored = await self._store("DELETED", key, obj)
        del self.objects[key]
        return stored

    async def _store(self, event: str, key: Key, obj: Object) -> Object:
        async with self._changed:
            self._newest += 1
            obj["metadata"]["resourceVersion"] = str(self._newest)
            self.objects[key] = obj
            self._history.append((self._newest, event, key, deepcopy(obj)))
            self._changed.notify_all()
        return obj

    async def _watch(self, target: _Target, request: Request) -> AsyncIterator[bytes]:
        seen, hang_up = int(request.param("resourceVersion") or 0), self._hang_up
        while self._hang_up == hang_up:
            if seen < self.oldest:
                status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                yield orjson.dumps({"type": "ERROR", "object": status}) + b"\n"
                return
            for revision, event, key, obj in [h for h in self._history if h[0] > seen]:
                seen = revision
                if _selected(target, request, key, obj):
                    yield orjson.dumps({"type": event, "object": obj}) + b"\n"
                elif self.bookmarks:
                    mark = {"metadata": {"resourceVersion": str(revision)}}
                    yield orjson.dumps({"type": "BOOKMARK", "object": mark}) + b"\n"
            async with self._changed:
                if self._newest == seen or not any(h[0] > seen for h in self._history):
                    await self._changed.wait()


def merged(doc: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(doc) if isinstance(doc, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _selected(target: _Target, request: Request, key: Key, obj: Object) -> bool:
    def value(path: str) -> str:
        found: Any = obj
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return str(found or "")

    return (
        key[0] == target.kind
        and target.namespace in ("", key[1])
        and parse_labels(request.param("labelSelector")).matches(obj["metadata"].get("labels") or {})
        and parse_fields(request.param("fieldSelector")).matches(value)
    )


def _json(obj: Object, status: int = 200) -> Response:
    return Response(status, [("content-type", "application/json")], orjson.dumps(obj))
