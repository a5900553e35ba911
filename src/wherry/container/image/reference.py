"""Image names: `[domain/]path[:tag][@digest]`, with Docker Hub's short forms.

In:    what a user writes: `redis`, `team/app:v1`, `localhost:5000/app@sha256:...`.
Out:   `Reference`, always with a domain; `str()` is the normalized form.
Spec:  the grammar of distribution/reference; its error texts.
"""

import re
from dataclasses import dataclass, replace

from wherry.container.image import digest as digests
from wherry.kit.errors import Invalid

DEFAULT_DOMAIN = "docker.io"
OFFICIAL = "library"
DEFAULT_TAG = "latest"
NAME_LENGTH_MAX = 255

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_HEX_ID = re.compile(r"[a-f0-9]{64}\Z")


class InvalidReference(Invalid):
    """The text is no image name."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalized image name. At least one of `tag` and `digest` may be empty; both empty means `latest` is meant."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Domain and path: `docker.io/library/redis`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The short form users write: `redis:7`."""
        path = self.path.removeprefix(f"{OFFICIAL}/") if self.domain == DEFAULT_DOMAIN else self.path
        name = path if self.domain == DEFAULT_DOMAIN else f"{self.domain}/{path}"
        return name + self._suffix()

    def tagged(self) -> "Reference":
        """The same with the tag `latest` when neither tag nor digest was given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def __str__(self) -> str:
        return self.repository + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Read and normalize an image name; a missing tag stays missing. Raise `InvalidReference`."""
    if _HEX_ID.match(text):
        raise InvalidReference(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    rest, _, digest = text.partition("@")
    if "@" in text and not digests.is_digest(digest):
        raise InvalidReference("invalid reference format" if ":" not in digest else "invalid checksum digest format")
    name, tag = _split_tag(rest)
    if tag is not None and not _TAG.match(tag):
        raise InvalidReference("invalid reference format")
    domain, path = _split_domain(name)
    if not _DOMAIN.match(domain) or not _PATH.match(path):
        upper = _PATH.match(path.lower()) is not None and path != path.lower()
        detail = f": repository name ({path[:NAME_LENGTH_MAX]}) must be lowercase" if upper else ""
        raise InvalidReference(f"invalid reference format{detail}")
    if len(path) > NAME_LENGTH_MAX:
        raise InvalidReference(f"repository name must not be more than {NAME_LENGTH_MAX} characters")
    return Reference(domain, path, tag or "", digest)


def is_path(text: str) -> bool:
    """Whether `text` is a repository path as registries take it (no domain)."""
    return len(text) <= NAME_LENGTH_MAX and _PATH.match(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` is a tag: at most 128 characters."""
    return _TAG.match(text) is not None


def _split_tag(text: str) -> tuple[str, str | None]:
    slash, colon = text.rfind("/"), text.rfind(":")
    return (text[:colon], text[colon + 1 :]) if colon > slash else (text, None)


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        return (DEFAULT_DOMAIN if first == "index.docker.io" else first), _official(first, rest)
    return DEFAULT_DOMAIN, name if slash else f"{OFFICIAL}/{name}"


def _official(domain: str, path: str) -> str:
    if domain in (DEFAULT_DOMAIN, "index.docker.io") and "/" not in path:
        return f"{OFFICIAL}/{path}"
    return path
