"""Subresources that are a part of the object itself: status, finalize, approval, ephemeralcontainers, resize.

GET answers with the object; PUT and PATCH change only the part, which `prepare` sees to.
"""

from copy import deepcopy

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.rendering import with_warnings
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.strategies.strategy import keep
from wherry.orchestration.apiserver.verbs.bodies import read_object
from wherry.orchestration.apiserver.verbs.handlers import Verbs
from wherry.orchestration.apiserver.verbs.metadata import replacing
from wherry.orchestration.apiserver.verbs.patching import read_patch
from wherry.orchestration.apiserver.verbs.writer import Prepare
from wherry.orchestration.objects.meta import Object, name_of

DECIDED = ("Approved", "Denied")


class Part:
    """One such subresource. `prepare` None: the strategy's rules for status."""

    def __init__(self, verbs: Verbs, subresource: str, prepare: Prepare | None = None) -> None:
        self._verbs = verbs
        self._subresource = subresource
        self._prepare = prepare

    async def __call__(self, call: Call) -> Response:
        match call.target.verb:
            case "get":
                return await self._verbs.get(call)
            case "update":
                return await self._update(call)
            case "patch":
                return await self._patch(call)
        raise errors.method_not_allowed(call.served.resource, call.target.verb)

    async def _update(self, call: Call) -> Response:
        obj = await self._verbs.decoded(call, lambda body: read_object(call, body))
        if name_of(obj) not in ("", call.target.name):
            raise errors.bad_request(f"the name of the object ({name_of(obj)}) does not match the name on the URL "
                                     f"({call.target.name})")
        cached = await self._verbs.writer.update(
            call, call.target.name, replacing(call, obj), subresource=self._subresource, prepare=self._prepare)
        return with_warnings(self._verbs.renderer(call).one(cached), call.warnings)

    async def _patch(self, call: Call) -> Response:
        writer = self._verbs.writer
        patch = await self._verbs.decoded(call, lambda body: read_patch(call, body, writer.clock, self._subresource))
        cached = await writer.update(
            call, call.target.name, patch.change, subresource=self._subresource, prepare=self._prepare,
            is_tracked=patch.create is not None)
        return with_warnings(self._verbs.renderer(call).one(cached), call.warnings)


def _restore(new: Object, old: Object) -> None:
    """Make `new` the old object, but for what the server tracks about writes."""
    kept = {name: new["metadata"][name] for name in ("managedFields", "resourceVersion") if name in new["metadata"]}
    new.clear()
    new.update(deepcopy(old))
    new["metadata"] |= kept


def prepare_finalize(new: Object, old: Object) -> None:
    """Namespaces: spec.finalizers only."""
    finalizers = (new.get("spec") or {}).get("finalizers")
    _restore(new, old)
    spec = new.setdefault("spec", {})
    if finalizers:
        spec["finalizers"] = finalizers
    else:
        spec.pop("finalizers", None)


def prepare_approval(new: Object, old: Object) -> None:
    """Certificate signing requests: the conditions Approved and Denied only."""
    conditions = (new.get("status") or {}).get("conditions") or []
    _restore(new, old)
    others = [c for c in (old.get("status") or {}).get("conditions") or () if c.get("type") not in DECIDED]
    new.setdefault("status", {})["conditions"] = [*(c for c in conditions if c.get("type") in DECIDED), *others]


def prepare_ephemeral(new: Object, old: Object) -> None:
    """Pods: spec.ephemeralContainers only."""
    containers = (new.get("spec") or {}).get("ephemeralContainers")
    _restore(new, old)
    if containers:
        new["spec"]["ephemeralContainers"] = containers
    if new["spec"] != old["spec"]:
        new["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1


def prepare_resize(new: Object, old: Object) -> None:
    """Pods: resources and resizePolicy of containers only."""
    wanted = {(field, c.get("name")): c for field in ("containers", "initContainers")
              for c in (new.get("spec") or {}).get(field) or ()}
    pod_level = (new.get("spec") or {}).get("resources")
    _restore(new, old)
    for field in ("containers", "initContainers"):
        for container in new["spec"].get(field) or ():
            asked = wanted.get((field, container["name"]))
            if asked is not None:
                keep(container, asked, "resources")
                keep(container, asked, "resizePolicy")
    if pod_level is not None:
        new["spec"]["resources"] = pod_level
    if new["spec"] != old["spec"]:
        new["metadata"]["generation"] = int(old["metadata"].get("generation", 0)) + 1
