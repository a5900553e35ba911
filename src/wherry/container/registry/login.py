"""Credentials and tokens: what a registry asks for, and what to answer.

In:    `WWW-Authenticate` headers; Docker's config.json; credentials given for one call.
Out:   an `Authorization` header.
Spec:  RFC 9110 section 11; the distribution project's token specification; Docker's config.json and credential helpers.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wherry.container.content.source import Login
from wherry.container.image.service import Credentials
from wherry.kit import process
from wherry.kit.errors import Invalid
from wherry.kit.process import CommandFailed

DOCKER_HUB_NAMES = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))
HELPER_TIMEOUT_S = 20.0
_CHALLENGE = re.compile(r"\s*([A-Za-z][A-Za-z0-9._-]*)\s+")
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,\s*|$)')
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+\Z")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme a server offers."""

    scheme: str  # lower-case
    parameters: dict[str, str]


def challenges(header: str) -> list[Challenge]:
    """Read a WWW-Authenticate header; what cannot be read is left out."""
    found: list[Challenge] = []
    rest = header
    while match := _CHALLENGE.match(rest):
        rest = rest[match.end() :]
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(rest):
            quoted, bare = parameter[2], parameter[3]
            parameters[parameter[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
            rest = rest[parameter.end() :]
        found.append(Challenge(match[1].lower(), parameters))
    return found


def basic(credentials: Credentials) -> str:
    """The header value for Basic."""
    return "Basic " + base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()


def given(login: Login, domain: str, host: str) -> Credentials | None:
    """The credentials of a call that fit a registry, by its name or its host."""
    for name, credentials in login:
        if _same(name, domain) or _same(name, host):
            return credentials
    return None


async def stored(config: Path | None, domain: str) -> Credentials | None:
    """What Docker's config.json, or a credential helper it names, has for a registry."""
    if config is None or not config.is_file():
        return None
    try:
        document = json.loads(config.read_bytes())
    except (ValueError, OSError) as error:
        raise Invalid(f"{config}: {error}") from error
    helper = (document.get("credHelpers") or {}).get(domain) or document.get("credsStore") or ""
    if helper:
        found = await _ask_helper(str(helper), domain)
        if found is not None:
            return found
    for name, entry in (document.get("auths") or {}).items():
        if _same(name, domain) and isinstance(entry, dict):
            return _decoded(entry, config)
    return None


def _decoded(entry: dict[str, object], config: Path) -> Credentials | None:
    if entry.get("auth"):
        try:
            username, _, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Invalid(f"{config}: an auth entry is not base64 of user:password") from error
        return Credentials(username, password.rstrip("\0"))
    if entry.get("username"):
        return Credentials(str(entry["username"]), str(entry.get("password", "")))
    return None


async def _ask_helper(helper: str, domain: str) -> Credentials | None:
    if not _HELPER_NAME.match(helper):
        raise Invalid(f"credential helper {helper!r} is not a name")
    server = "https://index.docker.io/v1/" if domain in DOCKER_HUB_NAMES else domain
    try:
        answer = await process.run([f"docker-credential-{helper}", "get"], stdin=server.encode(), timeout_s=HELPER_TIMEOUT_S)
        document = json.loads(answer)
        return Credentials(str(document["Username"]), str(document["Secret"]))
    except (CommandFailed, OSError, ValueError, KeyError):
        return None  # no helper, or nothing stored there: ask without


def _same(written: str, domain: str) -> bool:
    host = urlsplit(written if "://" in written else f"//{written}").netloc
    return host == domain or (host in DOCKER_HUB_NAMES and domain in DOCKER_HUB_NAMES)
