"""The scale subresource: autoscaling/v1 Scale over the replicas of a workload or custom resource.

Spec:  https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/scale-v1/ ; CRD `subresources.scale`.
"""

from collections.abc import Callable
from typing import Any

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.rendering import json_response
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.registry.cache import Cached
from wherry.orchestration.apiserver.registry.scale_paths import ScalePaths
from wherry.orchestration.apiserver.verbs.bodies import read_typed, typed_or_refuse
from wherry.orchestration.apiserver.verbs.handlers import Verbs
from wherry.orchestration.apiserver.verbs.patching import APPLY_PATCH, merging, read_applied, read_plain
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.schema_data import structure_of
from wherry.orchestration.objects.selectors import from_label_selector, from_map
from wherry.orchestration.objects.structure import ANY, Node

API_VERSION, KIND = "autoscaling/v1", "Scale"


class ScaleSubresource:
    """GET, PUT and PATCH of /scale."""

    def __init__(self, verbs: Verbs, paths: ScalePaths, *, is_custom: bool) -> None:
        self._verbs = verbs
        self._paths = paths
        self._is_custom = is_custom

    async def __call__(self, call: Call) -> Response:
        verb = call.target.verb
        if verb == "get":
            return json_response(self._scale(call, await self._verbs.read(call)))
        content_type = call.request.headers.get("content-type", "").partition(";")[0].strip()
        if verb == "patch" and content_type == APPLY_PATCH:
            return await self._apply(call)
        if verb not in ("update", "patch"):
            raise errors.method_not_allowed(call.served.resource, verb)

        def read(body: bytes) -> Callable[[Object], Object]:
            if verb == "update":
                return _always(read_typed(body, content_type, _node(), api_version=API_VERSION, kind=KIND))
            return read_plain(content_type, body, _node())

        change = await self._verbs.decoded(call, read)

        def scaled(obj: Object) -> Object:
            scale = typed_or_refuse(change(self._document(obj)), _node())
            replicas = _replicas(call, scale)
            revision = (scale.get("metadata") or {}).get("resourceVersion")
            if revision:
                obj["metadata"]["resourceVersion"] = revision
            _set(obj, self._paths.spec, replicas)
            return obj

        cached = await self._verbs.writer.update(call, call.target.name, scaled, subresource="scale",
                                                 prepare=call.served.strategy.prepare_update)
        return json_response(self._scale(call, cached))

    async def _apply(self, call: Call) -> Response:
        """The replicas are applied to the workload itself, owned there under the subresource `scale`."""
        scale = await self._verbs.decoded(
            call, lambda body: typed_or_refuse(read_applied(call, body, API_VERSION, KIND)[0], _node()))
        resource = call.served.resource
        applied: Object = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": call.target.name}}
        if call.namespace:
            applied["metadata"]["namespace"] = call.namespace
        for name in ("resourceVersion", "uid"):
            if scale["metadata"].get(name):
                applied["metadata"][name] = scale["metadata"][name]
        if "replicas" in (scale.get("spec") or {}):
            _set(applied, self._paths.spec, _replicas(call, scale))
        writer = self._verbs.writer
        cached = await writer.update(
            call, call.target.name, merging(call, applied, writer.clock, "scale"), subresource="scale",
            prepare=call.served.strategy.prepare_update, is_tracked=True)
        return json_response(self._scale(call, cached))

    def _scale(self, call: Call, cached: Cached) -> Object:
        return self._document(call.served.obj(cached))

    def _document(self, obj: Object) -> Object:
        metadata = {name: obj["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion",
                                                             "creationTimestamp") if name in obj["metadata"]}
        status: Object = {"replicas": _get(obj, self._paths.status) or 0}
        selector = self._selector(obj)
        if selector:
            status["selector"] = selector
        spec: Object = {}
        replicas = _get(obj, self._paths.spec)
        if replicas is not None:
            spec["replicas"] = replicas
        return {"kind": KIND, "apiVersion": API_VERSION, "metadata": metadata, "spec": spec, "status": status}

    def _selector(self, obj: Object) -> str:
        if self._is_custom:
            return str(_get(obj, self._paths.selector) or "") if self._paths.selector else ""
        selector = obj.get("spec", {}).get("selector")
        if not selector:
            return ""
        if "matchLabels" in selector or "matchExpressions" in selector:
            return str(from_label_selector(selector))
        return str(from_map(selector))


def _node() -> Node:
    return structure_of(API_VERSION, KIND) or ANY


def _always(scale: Object) -> Callable[[Object], Object]:
    return lambda _: scale


def _replicas(call: Call, scale: Object) -> int:
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise errors.bad_request('Scale in version "v1" cannot be handled as a Scale: spec.replicas must be an integer')
    if replicas < 0:
        cause = errors.cause("FieldValueInvalid", "spec.replicas",
                             f"Invalid value: {replicas}: must be greater than or equal to 0")
        raise errors.invalid("autoscaling", KIND, call.target.name, [cause])
    return replicas


def _get(obj: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def _set(obj: Object, path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        obj = obj.setdefault(part, {})
    obj[path[-1]] = value
