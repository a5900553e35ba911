"""The verbs on resources as HTTP: body in, answer out.

In:    an authorized `Call`.
Out:   a `Response`; errors rise as `ApiError`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from wherry.kit.http.message import Response
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.call.negotiation import Form, Shape, form_of
from wherry.orchestration.apiserver.call.rendering import Listing, Renderer, deleted_status, document, with_warnings
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.registry.cache import Cached
from wherry.orchestration.apiserver.registry.feed import Registry
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.apiserver.verbs import deleting, watching
from wherry.orchestration.apiserver.verbs.bodies import Read, beside, decoded, read_object, read_typed
from wherry.orchestration.apiserver.verbs.deleting import DeleteOptions, Deleter
from wherry.orchestration.apiserver.verbs.listing import list_objects
from wherry.orchestration.apiserver.verbs.metadata import check_uid, replacing
from wherry.orchestration.apiserver.verbs.options import invalid, read_options
from wherry.orchestration.apiserver.verbs.patching import read_patch
from wherry.orchestration.apiserver.verbs.writer import Writer
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.schema_data import definition

DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
STREAM_JSON = [("content-type", "application/json"), ("cache-control", "no-cache, private")]


class Verbs:
    """One method a verb, named as the verb."""

    def __init__(self, registry: Registry, writer: Writer, settings: ApiServerSettings) -> None:
        self.registry = registry
        self.writer = writer
        self.deleter = Deleter(writer)
        self._settings = settings
        self.by_name: dict[str, Callable[[Call], Awaitable[Response]]] = {
            "get": self.get, "list": self.list, "watch": self.watch, "create": self.create, "update": self.update,
            "patch": self.patch, "delete": self.delete, "deletecollection": self.deletecollection,
        }

    def renderer(self, call: Call, form: Form | None = None) -> Renderer:
        """For the form this client accepts."""
        include = call.request.param("includeObject")
        if include not in ("", "None", "Metadata", "Object"):
            raise errors.bad_request(f"unrecognized includeObject value: {include[:40]!r}")
        form = form or form_of(call.request.headers.get("accept", ""))
        return Renderer(call.served, form, self.writer.clock, include)

    async def get(self, call: Call) -> Response:
        """One object."""
        return self.renderer(call).one(await self.read(call))

    async def read(self, call: Call) -> Cached:
        """The entry a GET names. Raise `ApiError` 404."""
        revision = call.request.param("resourceVersion")
        if call.served.refresh is not None:
            await call.served.refresh()
        elif not revision:
            await self.registry.fresh()
        elif revision != "0":
            if not revision.isdigit():
                raise invalid("resourceVersion", "FieldValueInvalid", f'Invalid value: "{revision[:40]}"')
            await self.registry.reached(int(revision))
        name = call.target.name
        cached = call.served.cache.items.get(call.served.key(call.namespace, name))
        if cached is None:
            raise errors.not_found(call.served.resource, name)
        return cached

    async def list(self, call: Call) -> Response:
        """A page of objects."""
        options = read_options(call.request, call.served)
        if call.served.refresh is not None:
            await call.served.refresh()
        page = await list_objects(self.registry, call.served, call.namespace, options)
        return await self.renderer(call).listing(page)

    async def watch(self, call: Call) -> Response:
        """A stream of changes."""
        options = read_options(call.request, call.served, call.target.name)
        watching.check(options)
        form = form_of(call.request.headers.get("accept", ""))
        timeout_s = watching.default_timeout_s(options.timeout_s, self._settings.watch_timeout_s)
        stream = await watching.watch(
            self.registry, call.served, call.namespace, options, self.renderer(call, form), timeout_s=timeout_s,
            bookmark_period_s=self._settings.bookmark_period_s)
        headers = list(STREAM_JSON)
        if form.shape is not Shape.OBJECT:
            headers[0] = ("content-type", f"application/json;as={form.shape.value};v={form.version};g=meta.k8s.io")
        return Response(200, headers, stream, stall_s=self._settings.watch_stall_s)

    async def create(self, call: Call) -> Response:
        """POST."""
        obj = await self.decoded(call, lambda body: read_object(call, body))
        renderer = self.renderer(call)
        return with_warnings(renderer.one(await self.writer.create(call, obj), 201), call.warnings)

    async def update(self, call: Call) -> Response:
        """PUT of the object."""
        obj = await self.decoded(call, lambda body: read_object(call, body))
        renderer = self.renderer(call)
        name = call.target.name
        if name_of(obj) not in ("", name):
            raise errors.bad_request(
                f"the name of the object ({name_of(obj)}) does not match the name on the URL ({name})")
        status = 200
        try:
            cached = await self.writer.update(call, name, replacing(call, obj))
        except errors.ApiError as error:
            if error.code != 404 or not call.served.strategy.creates_on_update:
                raise
            check_uid(call, obj, name, "")
            obj["metadata"]["name"] = name
            obj["metadata"].pop("resourceVersion", None)
            cached, status = await self.writer.create(call, obj), 201
        return with_warnings(renderer.one(cached, status), call.warnings)

    async def patch(self, call: Call) -> Response:
        """PATCH of the object."""
        patch = await self.decoded(call, lambda body: read_patch(call, body, self.writer.clock))
        renderer = self.renderer(call)
        is_apply = patch.create is not None
        status = 200
        try:
            cached = await self.writer.update(call, call.target.name, patch.change, is_tracked=is_apply)
        except errors.ApiError as error:
            if error.code != 404 or patch.create is None:
                raise
            cached, status = await self._apply_new(call, await beside(call.body_bytes, patch.create)), 201
        return with_warnings(renderer.one(cached, status), call.warnings)

    async def _apply_new(self, call: Call, obj: Object) -> Cached:
        if obj["metadata"].get("uid"):
            why = f"uid mismatch: the provided object specified uid {obj['metadata']['uid']}, and no existing object was found"
            raise errors.conflict(call.served.resource, call.target.name, why)
        return await self.writer.create(call, obj, is_tracked=True)

    async def delete(self, call: Call) -> Response:
        """DELETE of one object."""
        options = await self.delete_options(call)
        form = form_of(call.request.headers.get("accept", ""))
        gone = await self.deleter.delete(call, call.target.name, options)
        if gone.is_gone:
            response = document(deleted_status(call.served, gone.cached), Form(Shape.OBJECT, form.is_yaml))
        else:
            response = self.renderer(call).one(gone.cached)
        return with_warnings(response, call.warnings)

    async def deletecollection(self, call: Call) -> Response:
        """DELETE of what the selectors match; answers with the list of them."""
        options = await self.delete_options(call)
        selected = read_options(call.request, call.served)
        page = await list_objects(self.registry, call.served, call.namespace, selected)
        for cached in page.items:
            one = Call(call.request, call.user, call.target, call.served, call.warnings, call.dry_run)
            one.target = replace(call.target, namespace=cached.namespace, name=cached.name)
            try:
                await self.deleter.delete(one, cached.name, options)
            except errors.ApiError as error:
                if error.code != 404:
                    raise
        return with_warnings(await self.renderer(call).listing(Listing(page.items, page.revision)), call.warnings)

    async def delete_options(self, call: Call) -> DeleteOptions:
        """From body and query; a dryRun in the body counts."""
        content_type = call.request.headers.get("content-type", "")

        def read(body: bytes) -> Object:
            return read_typed(body, content_type, definition(DELETE_OPTIONS)) if body.strip() else {}

        document = await self.decoded(call, read)
        if document.get("dryRun"):
            if document["dryRun"] != ["All"]:
                raise errors.invalid("meta.k8s.io", "DeleteOptions", "", [errors.cause(
                    "FieldValueNotSupported", "dryRun", 'Unsupported value: supported values: "All"')])
            call.dry_run = True
        query: Object = {}
        if call.request.param("gracePeriodSeconds"):
            query["gracePeriodSeconds"] = call.request.param("gracePeriodSeconds")
        if call.request.param("propagationPolicy"):
            query["propagationPolicy"] = call.request.param("propagationPolicy")
        if call.request.param("orphanDependents"):
            query["orphanDependents"] = call.request.param("orphanDependents") in ("true", "1")
        try:
            return deleting.read_options(document, query)
        except (TypeError, ValueError) as error:
            raise errors.bad_request(f"DeleteOptions cannot be read: {error}") from error

    async def decoded(self, call: Call, read: Callable[[bytes], Read]) -> Read:
        """What `read` makes of the whole request body, up to the limit; off the event loop when that is long."""
        return await decoded(call, await call.request.read(self._settings.body_bytes_max), read)
