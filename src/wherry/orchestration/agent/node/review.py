"""Who may use the node API: client certificate or bearer token -> user -> SubjectAccessReview on nodes/<subresource>.

Spec: kubelet authentication and authorization (webhook mode): verbs from HTTP methods, subresources stats, metrics, log,
      pods, healthz, configz, else proxy. Members of system:masters pass. Answers are kept 5 min (yes) or 30 s (no).
"""

from typing import Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID

from wherry.kit.clock import loop_time
from wherry.kit.errors import Forbidden, Unavailable, WherryError
from wherry.kit.http.message import Request
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from wherry.orchestration.objects.meta import Object

MASTERS = "system:masters"
ALLOWED_S = 300.0
DENIED_S = 30.0
TOKEN_S = 120.0
CACHE_MAX = 4096

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCES = {
    "stats": "stats", "metrics": "metrics", "logs": "log", "pods": "pods", "runningpods": "pods",
    "healthz": "healthz", "configz": "configz",
}  # fmt: skip


class Unauthorized(Forbidden):
    """No certificate and no token, or a bad one: 401."""


class Reviewer(Protocol):
    """Decides about one request."""

    async def review(self, request: Request) -> None:
        """Return when it may pass. Raise `Unauthorized` or `Forbidden`."""


class ApiReviewer:
    """Asks the API server."""

    def __init__(self, client: Client, node_name: str) -> None:
        self._client = client
        self._node_name = node_name
        self._decisions: dict[tuple[str, str, str], tuple[bool, float]] = {}
        self._tokens: dict[str, tuple[Object, float]] = {}

    async def review(self, request: Request) -> None:
        """See `Reviewer`."""
        user = await self._user(request)
        if MASTERS in (user.get("groups") or ()):
            return
        verb = _VERBS.get(request.method, request.method.lower())
        subresource = subresource_of(request.path)
        if not await self._is_allowed(user, verb, subresource):
            raise Forbidden(
                f"Forbidden (user={user.get('username')}, verb={verb}, resource=nodes, subresource={subresource})"
            )

    async def _user(self, request: Request) -> Object:
        if request.peer_certificate is not None:
            return user_of_certificate(request.peer_certificate)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Unauthorized("Unauthorized")
        cached = self._tokens.get(token)
        if cached is None or cached[1] < loop_time():
            cached = (await self._review_token(token), loop_time() + TOKEN_S)
            if len(self._tokens) >= CACHE_MAX:
                self._tokens.clear()
            self._tokens[token] = cached
        return cached[0]

    async def _review_token(self, token: str) -> Object:
        body = {"apiVersion": TOKEN_REVIEWS.api_version, "kind": "TokenReview", "spec": {"token": token}}
        try:
            status = (await self._client.create(TOKEN_REVIEWS, body)).get("status") or {}
        except WherryError as error:
            raise Unavailable(f"token review: {error}") from error
        if not status.get("authenticated"):
            raise Unauthorized("Unauthorized")
        return dict(status.get("user") or {})

    async def _is_allowed(self, user: Object, verb: str, subresource: str) -> bool:
        key = (repr(sorted(user.items(), key=lambda item: item[0])), verb, subresource)
        known = self._decisions.get(key)
        if known is not None and known[1] > loop_time():
            return known[0]
        spec = {
            "user": user.get("username"), "groups": user.get("groups") or [], "uid": user.get("uid") or "",
            "extra": user.get("extra") or {},
            "resourceAttributes": {
                "verb": verb, "resource": "nodes", "subresource": subresource, "name": self._node_name,
                "group": "", "version": "v1",
            },
        }  # fmt: skip
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        try:
            answer = await self._client.create(SUBJECT_ACCESS_REVIEWS, body)
        except WherryError as error:
            raise Unavailable(f"access review: {error}") from error
        allowed = bool((answer.get("status") or {}).get("allowed"))
        if len(self._decisions) >= CACHE_MAX:
            self._decisions.clear()
        self._decisions[key] = (allowed, loop_time() + (ALLOWED_S if allowed else DENIED_S))
        return allowed


def user_of_certificate(certificate: bytes) -> Object:
    """Common name and organizations of a verified certificate. Raise `Unauthorized` for a nameless one."""
    subject = x509.load_der_x509_certificate(certificate).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        raise Unauthorized("Unauthorized")
    groups = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return {"username": str(names[0].value), "groups": [*groups, "system:authenticated"]}


def subresource_of(path: str) -> str:
    """Of `nodes/`; everything that acts inside a pod is proxy."""
    return _SUBRESOURCES.get(path.strip("/").split("/")[0], "proxy")
