"""Finds out who sends a request: client certificate, bearer token, then impersonation headers. Who shows
nothing is anonymous for `anonymous_paths` alone.

In:    a `Request` whose client certificate, if any, the TLS layer has verified.
Out:   the `User`.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/authentication/
Refuses: the front proxy's X-Remote-* headers; OIDC and webhook tokens (no token authenticator reads them yet).
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID

from wherry.kit.clock import Clock
from wherry.kit.http.message import Request
from wherry.orchestration.apiserver.auth.authorizer import Authorizer
from wherry.orchestration.apiserver.auth.bounded import BoundedCache
from wherry.orchestration.apiserver.auth.impersonation import IMPERSONATE, impersonated, wants_impersonation
from wherry.orchestration.apiserver.auth.jwt import decode
from wherry.orchestration.apiserver.user import ANONYMOUS, AUTHENTICATED, EXTRA_CREDENTIAL_ID, Unauthorized, User

# What probes of load balancers and other machines ask. Upstream's kubeadm clusters answer these and no more when anonymous
# authentication is narrowed; RBAC (system:public-info-viewer) is asked as for everybody.
ANONYMOUS_PATHS = frozenset({"/healthz", "/livez", "/readyz", "/version", "/version/"})
WEBSOCKET_TOKEN = "base64url.bearer.authorization.k8s.io."  # a browser cannot set headers on a WebSocket


class TokenAuthenticator(Protocol):
    """One kind of bearer token: service-account JWT, static file, bootstrap Secret."""

    def user_of(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """The user `token` proves; None when it is not of this kind or proves nothing."""


class Authenticator:
    """See `authenticate`. `tokens` are asked in order."""

    def __init__(self, tokens: Sequence[TokenAuthenticator], authorizer: Authorizer, clock: Clock) -> None:
        self._tokens = tuple(tokens)
        self._authorizer = authorizer
        self._clock = clock
        self._certificates: BoundedCache[bytes, tuple[User, datetime]] = BoundedCache(1024)

    def authenticate(self, request: Request) -> User:
        """The caller. Raise `Unauthorized` without a valid credential, `ApiError` 403 for refused impersonation."""
        user = self._caller(request)
        if any(name.startswith(IMPERSONATE) for name in request.headers) and wants_impersonation(request.headers):
            return impersonated(user, request.headers, self._authorizer)
        return user

    def user_of_token(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """Who a bearer token proves; TokenReview asks this."""
        for authenticator in self._tokens:
            user = authenticator.user_of(token, audiences)
            if user is not None:
                return user
        return None

    def _caller(self, request: Request) -> User:
        if isinstance(request.identity, User):
            return request.identity
        if request.peer_certificate is not None:
            return self._user_of_certificate(request.peer_certificate)
        if request.path in ANONYMOUS_PATHS and not _shows_credential(request):
            return ANONYMOUS
        token = _bearer_token(request)
        user = self.user_of_token(token) if token else None
        if user is None:
            raise Unauthorized("Unauthorized")
        return user

    def _user_of_certificate(self, der: bytes) -> User:
        known = self._certificates.get(der)
        if known is None:
            known = _read_certificate(der)
            self._certificates.put(der, known)
        user, not_after = known
        if self._clock.now() > not_after:  # a connection may outlive the certificate it was opened with
            raise Unauthorized("Unauthorized")
        return user


def _shows_credential(request: Request) -> bool:
    """Also a wrong one, and the wish to be somebody else: those are answered with 401, as upstream."""
    return any(name == "authorization" or name == "sec-websocket-protocol" or name.startswith(IMPERSONATE)
               for name in request.headers)


def _read_certificate(der: bytes) -> tuple[User, datetime]:
    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = certificate.subject
    except ValueError as error:  # stricter than the TLS library that let it in
        raise Unauthorized("Unauthorized") from error
    names = [str(part.value) for part in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(part.value) for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if not names or not names[0]:
        raise Unauthorized("Unauthorized")
    extra = {EXTRA_CREDENTIAL_ID: (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)}
    return User(names[0], groups=(*groups, AUTHENTICATED), extra=extra), certificate.not_valid_after_utc


def _bearer_token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for protocol in request.headers.get("sec-websocket-protocol", "").split(","):
        if protocol.strip().startswith(WEBSOCKET_TOKEN):
            try:
                return decode(protocol.strip().removeprefix(WEBSOCKET_TOKEN).encode()).decode("utf-8")
            except ValueError:
                return ""
    return ""
