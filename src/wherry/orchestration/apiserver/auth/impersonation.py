"""Act as somebody else: `kubectl --as`. Each name, group, uid and extra value is asked of the authorizer.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
A group list may come as repeated headers or comma-joined by the HTTP front; every part is authorized by itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import unquote

from wherry.orchestration.apiserver.auth.authorizer import Attributes, Authorizer, forbidden_message
from wherry.orchestration.apiserver.errors import ApiError
from wherry.orchestration.apiserver.user import (
    AUTHENTICATED,
    SERVICE_ACCOUNT_PREFIX,
    UNAUTHENTICATED,
    User,
    service_account_user,
)

ANONYMOUS = "system:anonymous"
AUTHENTICATION_GROUP = "authentication.k8s.io"
IMPERSONATE = "impersonate-"
EXTRA_HEADER = f"{IMPERSONATE}extra-"
_HEADERS = (f"{IMPERSONATE}user", f"{IMPERSONATE}group", f"{IMPERSONATE}uid")


def wants_impersonation(headers: Mapping[str, str]) -> bool:
    """True when one of the headers of the specification is there."""
    return any(name in _HEADERS or name.startswith(EXTRA_HEADER) for name in headers)


def impersonated(user: User, headers: Mapping[str, str], authorizer: Authorizer) -> User:
    """The user `headers` ask to be. Raise `ApiError`: 403 when refused, 400 without Impersonate-User."""
    target = _wanted(headers)
    for attributes in _questions(user, target, has_groups="impersonate-group" in headers):
        decision = authorizer.authorize(attributes)
        if not decision.allowed:
            raise _refusal(attributes, decision.reason)
    if target.name == ANONYMOUS:
        return replace(target, groups=(*target.groups, UNAUTHENTICATED))
    if AUTHENTICATED in target.groups or UNAUTHENTICATED in target.groups:
        return target
    return replace(target, groups=(*target.groups, AUTHENTICATED))


def _wanted(headers: Mapping[str, str]) -> User:
    name = headers.get("impersonate-user", "").strip()
    groups = _split(headers.get("impersonate-group", ""))
    extra = {
        unquote(key.removeprefix(EXTRA_HEADER)).lower(): _split(value)
        for key, value in headers.items() if key.startswith(EXTRA_HEADER)
    }
    if not name:
        raise ApiError(400, "BadRequest", "requested impersonation of groups, uid or extra without impersonating a user")
    user = User(name, headers.get("impersonate-uid", "").strip(), groups, extra)
    account = user.service_account
    if account is not None and not groups:
        return replace(user, groups=service_account_user(*account).groups)
    return user


def _questions(user: User, target: User, *, has_groups: bool) -> Iterator[Attributes]:
    account = target.service_account
    if account is not None:
        yield Attributes(user, "impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])
    elif target.name.startswith(SERVICE_ACCOUNT_PREFIX):
        raise ApiError(400, "BadRequest", f"{target.name!r} is not the user name of a service account")
    else:
        yield Attributes(user, "impersonate", resource="users", name=target.name)
    if has_groups:
        for group in target.groups:
            yield Attributes(user, "impersonate", resource="groups", name=group)
    if target.uid:
        yield Attributes(user, "impersonate", group=AUTHENTICATION_GROUP, resource="uids", name=target.uid)
    for key, values in target.extra.items():
        for value in values:
            yield Attributes(
                user, "impersonate", group=AUTHENTICATION_GROUP, resource="userextras", subresource=key, name=value)


def _refusal(attributes: Attributes, reason: str) -> ApiError:
    qualified = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
    message = f'{qualified} "{attributes.name}" is forbidden: {forbidden_message(attributes, reason)}'
    details = {"name": attributes.name, "kind": attributes.resource}
    if attributes.group:
        details["group"] = attributes.group
    return ApiError(403, "Forbidden", message, details=details)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
