"""The way to other API servers: one request passed on as its user, or one short question of the aggregator's own.

In:    a `Backend`, the request and its authenticated user.
Out:   the backend's answer as it comes (streams and upgrades too).
Spec:  https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/ : a client certificate of the front proxy,
       X-Remote-User, X-Remote-Uid, X-Remote-Group (one header a group), X-Remote-Extra-<key>.
Fails: `Unavailable`, `TimedOut` (kit.http.splice); nothing is retried.
Never: passes on the client's own credentials, impersonation or X-Remote-* headers.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import orjson

from wherry.kit.errors import Broken, Unavailable
from wherry.kit.http import splice
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.http.tls import client_context
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.aggregation.services import Backend
from wherry.orchestration.apiserver.registry.endpoints import place_behind
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.apiserver.user import AUTHENTICATED, MASTERS, User
from wherry.orchestration.objects.meta import Object

AGGREGATOR = User("system:kube-aggregator", groups=(MASTERS, AUTHENTICATED))
QUESTION_TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 32 * 1024 * 1024  # an OpenAPI document of everything is 5 MB
HEAVY_BYTES = 64 * 1024  # longer documents are read beside the event loop
CONTEXTS_MAX = 64
PATH_CHARACTERS = "/:@!$&'()*+,;=~"
TOKEN_CHARACTERS = "!#$&'*+-.^_`|~"  # of header names, RFC 9110 5.6.2, beside letters and digits; "%" escapes


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """What this server proves itself with. `certificate` holds certificate and key; `trust` is the ConfigMap
    extension-apiserver-authentication, which tells backends whom to believe."""

    certificate: Path
    trust: Object


@dataclass(frozen=True, slots=True)
class Answered:
    """What a backend said to a question."""

    status: int
    headers: dict[str, str]
    body: bytes

    async def document(self) -> Any:
        """The body as JSON. Raise `Broken`."""
        try:
            return orjson.loads(self.body) if len(self.body) < HEAVY_BYTES else await asyncio.to_thread(orjson.loads, self.body)
        except orjson.JSONDecodeError as error:
            raise Broken(f"the backend's document is no JSON: {error}") from error


class Backends:
    """`front_proxy` None: backends are asked without a certificate, and believe nothing that is said of users."""

    def __init__(self, source: ObjectSource, front_proxy: FrontProxy | None) -> None:
        self._source = source
        self._front_proxy = front_proxy
        self._contexts: dict[tuple[str, bool], ssl.SSLContext] = {}

    def renew(self, certificate: Path) -> None:
        """Prove ourselves with the newest certificate from now on."""
        if self._front_proxy is not None:
            self._front_proxy = FrontProxy(certificate, self._front_proxy.trust)
        self._contexts.clear()

    async def forward(self, request: Request, backend: Backend, user: User) -> Response | Upgrade:
        """Pass `request` on as `user`: the path that was authorized, not another spelling of it."""
        if any(part in (".", "..") for part in request.path.split("/")):
            raise errors.path_not_found()
        _, _, query = request.raw_target.partition("?")
        target = quote(request.path, safe=PATH_CHARACTERS) + (f"?{query}" if query else "")
        host, port = place_behind(self._source, backend.namespace, backend.service, backend.port)
        dropped = [name for name in request.headers if name.startswith(("x-remote-", "impersonate-"))]
        return await splice.forward(
            request, host=host, port=port, target=target, tls=self._tls(backend), server_name=backend.server_name,
            headers={"host": backend.server_name}, more=identity_headers(user), drop=("authorization", *dropped))

    async def ask(self, backend: Backend, path: str, accept: str, etag: str = "") -> Answered:
        """GET a document as the aggregator itself. Raise `Unavailable` or `TimedOut`."""
        headers = {"accept": accept, **({"if-none-match": etag} if etag else {})}
        question = Request("GET", unquote(path.partition("?")[0]), path, headers=headers, identity=AGGREGATOR)
        try:
            async with asyncio.timeout(QUESTION_TIMEOUT_S):
                answer = await self.forward(question, backend, AGGREGATOR)
                body = await splice.whole(answer, ANSWER_BYTES_MAX)
                return Answered(answer.status, dict(answer.headers if isinstance(answer, Response) else ()), body)
        except TimeoutError:
            raise Unavailable("context deadline exceeded (Client.Timeout exceeded while awaiting headers)") from None

    def _tls(self, backend: Backend) -> ssl.SSLContext:
        key = (backend.ca_bundle, backend.skips_verification)
        if key not in self._contexts:
            if len(self._contexts) >= CONTEXTS_MAX:
                self._contexts.clear()
            context = client_context(backend.ca_bundle, self._front_proxy.certificate if self._front_proxy else None)
            if backend.skips_verification:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._contexts[key] = context
        return self._contexts[key]


def identity_headers(user: User) -> list[tuple[str, str]]:
    """Who asks, for a server that trusts us. Texts beyond ASCII go as UTF-8, as Go sends them."""
    found = [("x-remote-user", user.name)]
    if user.uid:
        found.append(("x-remote-uid", user.uid))
    found += [("x-remote-group", group) for group in user.groups]
    for key, values in user.extra.items():
        name = f"x-remote-extra-{quote(key, safe=TOKEN_CHARACTERS).lower()}"
        found += [(name, value) for value in values]
    return [(name, value.encode().decode("latin-1")) for name, value in found]
