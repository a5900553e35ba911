"""The image registry: the node's own content folder, served by the OCI distribution API.

In:    a content folder, settings, requests of `kit.http`.
Out:   what is pushed is at once an image of the node, what the node has built or pulled can be pulled from here: no copy
       is made in between, because blobs and names are the same.
Spec:  OCI distribution-spec 1.1. `?ns=<domain>` (containerd's mirror parameter) reads images of another domain.
Never: listens (`serve(registry.handle, ...)`) or proxies to other registries.
"""

import asyncio
import base64
import binascii
import hmac
import logging

from wherry.container.content.content import Content
from wherry.container.registry import problems, routes
from wherry.container.registry.blob_api import BlobApi
from wherry.container.registry.manifest_api import ManifestApi
from wherry.container.registry.problems import Problem
from wherry.container.registry.routes import Route
from wherry.container.registry.settings import RegistrySettings
from wherry.kit.errors import Invalid, NotFound
from wherry.kit.http.message import BodyTooLarge, Request, Response

log = logging.getLogger(__name__)

API_VERSION = ("docker-distribution-api-version", "registry/2.0")
_READS = ("GET", "HEAD")


class Registry:
    """`handle` is a `kit.http` handler."""

    def __init__(self, content: Content, settings: RegistrySettings) -> None:
        self._settings = settings
        self._blobs = BlobApi(content, settings)
        self._manifests = ManifestApi(content, settings)

    async def handle(self, request: Request) -> Response:
        """Answer one request; never raises what the client caused."""
        try:
            response = await self._answer(request)
        except Problem as problem:
            response = problems.answer(problem)
        except BodyTooLarge as error:
            response = problems.answer(Problem("SIZE_INVALID", str(error)))
        except Invalid as error:
            response = problems.answer(Problem("MANIFEST_INVALID", str(error)))
        except NotFound as error:
            response = problems.answer(Problem("BLOB_UNKNOWN", str(error)))
        response.headers.append(API_VERSION)
        return response

    async def _answer(self, request: Request) -> Response:
        if request.path == "/healthz" and request.method in _READS:
            return Response(200, [("content-type", "text/plain")], b"ok")
        self._check_login(request)
        route = routes.parse(request.path)
        if route is None:
            raise Problem("UNSUPPORTED", "no such path; the API is under /v2/", status=404)
        if route.kind == "base":
            return Response(200, [("content-type", "application/json")], b"{}")
        if route.kind == "catalog":
            return await asyncio.to_thread(self._manifests.catalog, _reading(request))
        repository = f"{self._domain(request)}/{route.name}"
        return await self._dispatch(request, route, repository)

    async def _dispatch(self, request: Request, route: Route, repository: str) -> Response:
        match route.kind:
            case "blob":
                return await self._blobs.blob(request, route, repository)
            case "upload":
                return await self._blobs.upload(request, route, repository)
            case "manifest":
                return await self._manifests.manifest(request, route, repository)
            case "tags":
                return await asyncio.to_thread(self._manifests.tags, _reading(request), route, repository)
        return await asyncio.to_thread(self._manifests.referrers, _reading(request), route, repository)

    def _domain(self, request: Request) -> str:
        namespace = request.param("ns")
        if not namespace:
            return self._settings.domain
        if request.method not in _READS:
            raise Problem("UNSUPPORTED", "images of other domains can only be read")
        return namespace

    def _check_login(self, request: Request) -> None:
        file = self._settings.password_file
        if file is None:
            return
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            said = base64.b64decode(value, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            said = b""
        try:
            password = file.read_bytes().strip()
        except FileNotFoundError:
            password = b""
        wanted = self._settings.username.encode() + b":" + password
        if not password or not hmac.compare_digest(said, wanted):
            challenge = (("www-authenticate", 'Basic realm="wherry"'),)
            raise Problem("UNAUTHORIZED", "authentication required", headers=challenge)


def _reading(request: Request) -> Request:
    if request.method not in _READS:
        raise Problem("UNSUPPORTED", f"{request.method} is not a method of this path")
    return request
