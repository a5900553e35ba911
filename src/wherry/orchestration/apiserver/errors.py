"""Errors as the API tells them: `metav1.Status` with upstream's codes, reasons and texts.

In:    what went wrong, as a constructor call, or any `kit.errors` error through `from_error`.
Out:   `ApiError`, whose `status()` is the body of the answer.
Spec:  https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ ; apimachinery api/errors.
"""

from collections.abc import Sequence
from typing import Any

from wherry.kit import errors
from wherry.kit.http.message import BodyTooLarge
from wherry.orchestration.apiserver.user import Unauthorized
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource


class ApiError(errors.WherryError):
    """An answer other than success. `details` is the Status's details; `retry_after_s` sets the header."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Object | None = None, retry_after_s: int = 0,
        list_meta: Object | None = None,
    ) -> None:
        self.code, self.reason, self.message = code, reason, message
        self.details = details
        self.retry_after_s = retry_after_s
        self.list_meta = list_meta or {}
        super().__init__(message)

    def status(self) -> Object:
        """The Status object."""
        body: Object = {
            "kind": "Status", "apiVersion": "v1", "metadata": self.list_meta, "status": "Failure",
            "message": self.message, "reason": self.reason,
        }
        details = dict(self.details or {})
        if self.retry_after_s:
            details["retryAfterSeconds"] = self.retry_after_s
        if details:
            body["details"] = details
        return body | {"code": self.code}


def _details(resource: Resource, name: str, **more: Any) -> Object:
    details: Object = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return details | {"kind": resource.plural} | more


def not_found(resource: Resource, name: str) -> ApiError:
    """`pods "x" not found`."""
    return ApiError(404, "NotFound", f'{resource.qualified_name} "{name}" not found', details=_details(resource, name))


def path_not_found() -> ApiError:
    """No such resource type or path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 of a create."""
    message = f'{resource.qualified_name} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(resource, name))


def generate_name_exhausted(resource: Resource, name: str) -> ApiError:
    """A generated name was taken."""
    error = already_exists(resource, name)
    error.message = f"{error.message}, the server was not able to generate a unique name for the object"
    return error


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: Resource, name: str, why: str = MODIFIED, causes: Sequence[Object] = ()) -> ApiError:
    """`Operation cannot be fulfilled on ...`."""
    details = _details(resource, name, **({"causes": list(causes)} if causes else {}))
    message = f'Operation cannot be fulfilled on {resource.qualified_name} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=details)


def apply_conflict(message: str, causes: Sequence[Object]) -> ApiError:
    """Server-side apply met fields of other managers."""
    return ApiError(409, "Conflict", message, details={"causes": list(causes)})


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[Object] = ()) -> ApiError:
    """403 of authorization or admission."""
    details = _details(resource, name, **({"causes": list(causes)} if causes else {}))
    start = f'{resource.qualified_name} "{name}" is forbidden' if name else f"{resource.qualified_name} is forbidden"
    return ApiError(403, "Forbidden", f"{start}: {why}", details=details)


def forbidden_path(path: str, why: str) -> ApiError:
    """403 for a path that is no resource."""
    return ApiError(403, "Forbidden", f'forbidden: {why}', details={})


def cause(reason: str, field: str, message: str) -> Object:
    """One entry of `details.causes`."""
    return {"reason": reason, "message": message, "field": field}


def invalid(group: str, kind: str, name: str, causes: Sequence[Object]) -> ApiError:
    """422. `causes` come from `cause`; one failure reads `X "n" is invalid: field: message`, more are bracketed."""
    texts = list(dict.fromkeys(f"{c['field']}: {c['message']}" if c.get("field") else c["message"] for c in causes))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    qualified = f"{kind}.{group}" if group else kind
    details: Object = {"name": name} if name else {}
    if group:
        details["group"] = group
    details |= {"kind": kind, "causes": list(causes)}
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {joined}', details=details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def method_not_allowed(resource: Resource, verb: str) -> ApiError:
    """405."""
    message = f'{verb} is not supported on resources of kind "{resource.qualified_name}"'
    return ApiError(405, "MethodNotAllowed", message, details=_details(resource, ""))


def path_takes_get_only() -> ApiError:
    """405 of a path that is no resource."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media_type(supported: Sequence[str]) -> ApiError:
    """415."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(supported)
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable(supported: Sequence[str]) -> ApiError:
    """406."""
    message = "only the following media types are accepted: " + ", ".join(supported)
    return ApiError(406, "NotAcceptable", message)


def expired(message: str = "The resourceVersion for the provided watch is too old.") -> ApiError:
    """410: the revision is no longer there."""
    return ApiError(410, "Expired", message)


def too_old(asked: int, oldest: int) -> ApiError:
    """410 of a watch."""
    return ApiError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def too_large_revision(asked: int, current: int) -> ApiError:
    """504: the revision asked for is in the future."""
    message = f"Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return ApiError(504, "Timeout", message, details={"causes": causes}, retry_after_s=1)


def timeout(message: str) -> ApiError:
    """504."""
    return ApiError(504, "Timeout", message)


def unavailable(message: str) -> ApiError:
    """503."""
    return ApiError(503, "ServiceUnavailable", message)


def too_many_requests(message: str, *, causes: Sequence[Object] = (), retry_after_s: int = 0) -> ApiError:
    """429; evictions use it."""
    details: Object = {"causes": list(causes)} if causes else {}
    return ApiError(429, "TooManyRequests", message, details=details, retry_after_s=retry_after_s)


_BY_KIND: tuple[tuple[type[errors.WherryError], int, str], ...] = (
    (Unauthorized, 401, "Unauthorized"),
    (BodyTooLarge, 413, "RequestEntityTooLarge"),
    (errors.NotFound, 404, "NotFound"),
    (errors.AlreadyExists, 409, "AlreadyExists"),
    (errors.Conflict, 409, "Conflict"),
    (errors.Invalid, 400, "BadRequest"),
    (errors.Expired, 410, "Expired"),
    (errors.Forbidden, 403, "Forbidden"),
    (errors.Unavailable, 503, "ServiceUnavailable"),
    (errors.Unsupported, 501, "NotImplemented"),
    (errors.TimedOut, 504, "Timeout"),
)


def from_error(error: errors.WherryError) -> ApiError:
    """The answer for any of our errors; those without a mapping are 500 InternalError."""
    if isinstance(error, ApiError):
        return error
    for kind, code, reason in _BY_KIND:
        if isinstance(error, kind):
            return ApiError(code, reason, str(error))
    return ApiError(500, "InternalError", f"Internal error occurred: {error}")
