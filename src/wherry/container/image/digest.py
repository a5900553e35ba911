"""Content digests: `sha256:<64 hex>` and `sha512:<128 hex>`.

Spec: OCI image-spec 1.1 descriptor.md, "Digests".
"""

import hashlib
import re
from typing import Protocol

from wherry.kit.errors import Invalid

_FORM = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})\Z")
_HEX_LENGTH = {"sha256": 64, "sha512": 128}


class Hasher(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def is_digest(text: str) -> bool:
    """Whether `text` is a digest of a known algorithm, in lower-case hex."""
    return _FORM.match(text) is not None


def check(text: str) -> str:
    """Return `text` if it is a digest, else raise `Invalid`."""
    if not is_digest(text):
        raise Invalid(f"invalid digest {text[:160]!r}: want sha256:<64 hex digits> or sha512:<128 hex digits>")
    return text


def split(text: str) -> tuple[str, str]:
    """Algorithm and hex of a digest; `Invalid` when it is none."""
    algorithm, _, encoded = check(text).partition(":")
    return algorithm, encoded


def hasher(algorithm: str) -> Hasher:
    """A new hash of a known algorithm."""
    if algorithm not in _HEX_LENGTH:
        raise Invalid(f"digest algorithm {algorithm[:40]!r} is not known: use sha256 or sha512")
    return hashlib.new(algorithm)


def of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of `data`."""
    made = hasher(algorithm)
    made.update(data)
    return f"{algorithm}:{made.hexdigest()}"


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """For each layer the identity of everything up to and with it (image-spec config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
