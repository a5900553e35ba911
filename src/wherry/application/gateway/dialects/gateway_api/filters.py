"""HTTPRoute filters as changes, rewrites, redirects and mirrors of the model.

In:    the filters of a rule or of a backend reference.
Out:   `Filters`. Raise `Unsupported` for a filter that is not offered, `Invalid` for one that cannot mean anything.
Spec:  Gateway API v1 HTTPRouteFilter. Not there: CORS, ExtensionRef, ExternalAuth.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.application.gateway.model.headers import is_header_name, is_header_value
from wherry.application.gateway.model.values import NO_CHANGE, Backend, HeaderChange, Mirror, Redirect, Rewrite
from wherry.kit.errors import Invalid, Unsupported

MILLION = 1_000_000
REDIRECT_CODES = (301, 302, 303, 307, 308)
_HOST_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Filters:
    """What the filters of one rule come to."""

    request_headers: HeaderChange = NO_CHANGE
    response_headers: HeaderChange = NO_CHANGE
    rewrite: Rewrite = Rewrite()
    redirect: Redirect | None = None
    mirrors: tuple[Mirror, ...] = ()


def filters_of(filters: Sequence[Mapping[str, Any]], mirrored: Callable[[Mapping[str, Any]], Backend | None]) -> Filters:
    """Read the filters; `mirrored` resolves a backend reference, None for one that cannot be used."""
    found: dict[str, Any] = {}
    mirrors: list[Mirror] = []
    for entry in filters:
        match entry.get("type"):
            case "RequestHeaderModifier":
                found["request_headers"] = header_change(entry.get("requestHeaderModifier") or {})
            case "ResponseHeaderModifier":
                found["response_headers"] = header_change(entry.get("responseHeaderModifier") or {})
            case "RequestRedirect":
                found["redirect"] = _redirect(entry.get("requestRedirect") or {})
            case "URLRewrite":
                found["rewrite"] = _rewrite(entry.get("urlRewrite") or {})
            case "RequestMirror":
                mirror = entry.get("requestMirror") or {}
                if (backend := mirrored(mirror.get("backendRef") or {})) is not None:
                    mirrors.append(Mirror(backend, _share(mirror)))
            case other:
                raise Unsupported(f"filter {other} is not supported")
    if "redirect" in found and ("rewrite" in found or mirrors):
        raise Invalid("RequestRedirect cannot be used with URLRewrite or RequestMirror in one rule")
    return Filters(**found, mirrors=tuple(mirrors))


def header_change(modifier: Mapping[str, Any]) -> HeaderChange:
    """set, add and remove of a header modifier."""
    def pairs(key: str) -> tuple[tuple[str, str], ...]:
        return tuple((_header_name(entry.get("name")), _header_value(entry.get("value"))) for entry in modifier.get(key) or ())

    return HeaderChange(pairs("set"), pairs("add"), tuple(_header_name(name) for name in modifier.get("remove") or ()))


def _header_name(name: Any) -> str:
    text = str(name or "")
    if not is_header_name(text):
        raise Invalid(f"{text[:64]!r} is not a header name")
    if text.lower() == "host":
        raise Invalid("the host header is changed by URLRewrite.hostname only")
    return text


def _header_value(value: Any) -> str:
    text = str(value if value is not None else "")
    if not is_header_value(text):
        raise Invalid("a header value holds control characters")
    return text


def _redirect(given: Mapping[str, Any]) -> Redirect:
    scheme, code = str(given.get("scheme") or ""), int(given.get("statusCode") or 302)
    if scheme not in ("", "http", "https"):
        raise Unsupported(f"redirects to scheme {scheme!r} are not supported")
    if code not in REDIRECT_CODES:
        raise Unsupported(f"redirects with status {code} are not supported")
    path, prefix = _path(given.get("path"))
    port = int(given["port"]) if given.get("port") else None
    return Redirect(code, scheme, _host(given.get("hostname")), port, path, prefix)


def _rewrite(given: Mapping[str, Any]) -> Rewrite:
    path, prefix = _path(given.get("path"))
    return Rewrite(_host(given.get("hostname")), path, prefix)


def _path(given: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    if not given:
        return None, None
    match given.get("type"):
        case "ReplaceFullPath":
            return _clean(given.get("replaceFullPath")), None
        case "ReplacePrefixMatch":
            return None, _clean(given.get("replacePrefixMatch"))
        case other:
            raise Unsupported(f"path modifier {other} is not supported")


def _clean(path: Any) -> str:
    text = str(path or "")
    if len(text) > 1024 or any(ord(char) <= 0x20 or ord(char) == 0x7F or char in "?#" for char in text):
        raise Invalid(f"{text[:64]!r} is not a path")
    return text if not text or text.startswith("/") else f"/{text}"


def _host(name: Any) -> str:
    text = str(name or "")
    if text and not _HOST_NAME.fullmatch(text):
        raise Invalid(f"{text[:64]!r} is not a hostname")
    return text


def _share(mirror: Mapping[str, Any]) -> int:
    if fraction := mirror.get("fraction"):
        return min(MILLION, int(fraction.get("numerator") or 0) * MILLION // max(1, int(fraction.get("denominator") or 100)))
    percent = mirror.get("percent")
    return MILLION if percent is None else min(MILLION, int(percent) * MILLION // 100)
