"""Objects as the store keeps them: JSON without resourceVersion, Secrets sealed; and as the wire wants them.

In:    objects (dicts); stored bytes.
Out:   stored bytes whose start is always `{"kind":...,"apiVersion":...,"metadata":{`, so that the revision is put in
       by one splice of bytes, without parsing.
Spec:  AES-256-GCM (NIST SP 800-38D), 96-bit random nonce, the store key as associated data: a sealed value moved to
       another key does not open.
"""

import os
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wherry.kit.errors import Broken
from wherry.orchestration.objects.meta import Object

SEALED = b"wherry:sealed:aesgcm:v1:"
NONCE_BYTES = 12
METADATA = b'"metadata":{'


def encode(obj: Object) -> bytes:
    """Bytes to store: kind, apiVersion and metadata first, no resourceVersion. `obj` is left as it is."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "selfLink")}
    ordered: dict[str, Any] = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata}
    for key, value in obj.items():
        if key not in ordered:
            ordered[key] = value
    return orjson.dumps(ordered)


def with_revision(value: bytes, revision: int) -> bytes:
    """`value` as clients see it, with metadata.resourceVersion."""
    start = value.index(METADATA) + len(METADATA)
    comma = b"" if value[start] == 0x7D else b","
    return b'%b"resourceVersion":"%d"%b%b' % (value[:start], revision, comma, value[start:])


class Sealer:
    """Seals the values of some resources with AES-GCM. Without a key everything is kept in the clear."""

    def __init__(self, key: bytes = b"", prefixes: tuple[str, ...] = ()) -> None:
        self._cipher = AESGCM(key) if key else None
        self._prefixes = prefixes

    def seal(self, key: str, value: bytes) -> bytes:
        """What the store shall hold for `value` under `key`."""
        if self._cipher is None or not key.startswith(self._prefixes):
            return value
        nonce = os.urandom(NONCE_BYTES)
        return SEALED + nonce + self._cipher.encrypt(nonce, value, key.encode())

    def open(self, key: str, stored: bytes) -> bytes:
        """The value; raise `Broken` when it was sealed with another key or changed."""
        if not stored.startswith(SEALED):
            return stored
        if self._cipher is None:
            raise Broken(f"{key!r} is sealed and no encryption key is given; restore the key file")
        nonce, sealed = stored[len(SEALED):][:NONCE_BYTES], stored[len(SEALED) + NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, sealed, key.encode())
        except InvalidTag as error:
            raise Broken(f"{key!r} does not open with this encryption key; restore the key file") from error


def at_revision(data: bytes, revision: int) -> bytes:
    """`data` (made by `with_revision`) with another revision; used for the last state of a deleted object."""
    start = data.index(METADATA) + len(METADATA)
    end = data.index(b'"', start + len(b'"resourceVersion":"')) + 1
    return b'%b"resourceVersion":"%d"%b' % (data[:start], revision, data[end:])
