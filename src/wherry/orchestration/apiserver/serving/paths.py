"""Answers for paths that are no resources: discovery, OpenAPI, version, health, metrics, token keys.

Documents are rebuilt when the table of served resources changes, on the next request for one.
"""

from collections.abc import Callable

import orjson

from wherry.kit.http.message import Request, Response
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.aggregation.loop import Aggregation
from wherry.orchestration.apiserver.call.access import Access
from wherry.orchestration.apiserver.call.rendering import json_response
from wherry.orchestration.apiserver.discovery.documents import Discovery
from wherry.orchestration.apiserver.discovery.version import version_info
from wherry.orchestration.apiserver.openapi import answers as openapi
from wherry.orchestration.apiserver.openapi.custom import CustomSchema
from wherry.orchestration.apiserver.openapi.documents import Documents
from wherry.orchestration.apiserver.registry.served import ServedTable

OTHER_PATHS = ("/.well-known/openid-configuration", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3",
               "/openid/v1/jwks", "/readyz", "/version")


class Paths:
    """`answer` serves them all."""

    def __init__(self, table: ServedTable, aggregation: Aggregation, access: Access, server_address: str) -> None:
        self._table = table
        self._aggregation = aggregation
        self._access = access
        self._server_address = server_address
        self._discovery: Discovery | None = None
        self._discovery_revision = (-1, -1)
        self._documents = Documents()
        self._documents_revision = (-1, -1)
        self.extra: dict[str, Callable[[Request], Response]] = {}  # exact paths of other parts: /metrics, health

    def answer(self, request: Request) -> Response:
        """Raise `ApiError` 404 for unknown paths, 405 for known ones asked with another method than GET."""
        found = self._found(request)
        if request.method != "GET" and request.path != "/":
            raise errors.path_takes_get_only()
        return found

    def _found(self, request: Request) -> Response:
        path = request.path
        if path in self.extra:
            return self.extra[path](request)
        top = path.split("/", 2)[1]
        if top in ("api", "apis"):
            found = self.discovery().answer(
                path, request.headers.get("accept", ""), request.headers.get("if-none-match", ""))
            if found is None:
                raise errors.path_not_found()
            return found
        if top == "openapi":
            return self._openapi(request)
        match path:
            case "/version" | "/version/":
                return json_response(dict(version_info()))
            case "/":
                return json_response({"paths": [*self.discovery().paths, *self._others()]})
            case "/.well-known/openid-configuration":
                return json_response(self._access.tokens.discovery_document(f"https://{self._server_address}"))
            case "/openid/v1/jwks":
                body = orjson.dumps(self._access.tokens.key_set())
                return Response(200, [("content-type", "application/jwk-set+json")], body)
        raise errors.path_not_found()

    @property
    def _revision(self) -> tuple[int, int]:
        return self._table.revision, self._aggregation.revision

    def discovery(self) -> Discovery:
        """The documents for what is served now."""
        if self._discovery is None or self._discovery_revision != self._revision:
            self._discovery = Discovery(
                [served.resource for served in self._table.rows()], self._aggregation.foreign(),
                server_address=self._server_address)
            self._discovery_revision = self._revision
        return self._discovery

    def _openapi(self, request: Request) -> Response:
        path = request.path
        if path == "/openapi/v3" or path.startswith(("/openapi/v3/", "/openapi/v2")):
            found = openapi.answer(
                self.documents(), path, accept=request.headers.get("accept", ""),
                if_none_match=request.headers.get("if-none-match", ""), fingerprint=request.param("hash"))
            if found is not None:
                return found
        raise errors.path_not_found()

    def documents(self) -> Documents:
        """The OpenAPI documents for what is served now."""
        if self._documents_revision != self._revision:
            self._documents.set_custom(
                CustomSchema(served.resource, served.schema) for served in self._table.rows() if served.is_custom)
            self._documents.set_foreign(self._aggregation.foreign())
            self._documents_revision = self._revision
        return self._documents

    def _others(self) -> list[str]:
        return sorted({*OTHER_PATHS, *self.extra})
