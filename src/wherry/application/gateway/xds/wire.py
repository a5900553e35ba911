"""Protocol buffers put together from parts that are serialised already: what did not change is not encoded again.

Spec:  protobuf encoding, length-delimited fields. A message's bytes followed by another field's bytes are that message
       with the field added, so a list of thousands can grow by one without touching the rest.
"""

import hashlib

VERSION_BYTES = 12


def varint(number: int) -> bytes:
    """Base-128, least significant group first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def part(field_number: int, value: bytes) -> bytes:
    """One length-delimited field."""
    return varint(field_number << 3 | 2) + varint(len(value)) + value


def version_of(value: bytes) -> str:
    """A short name for exactly this content."""
    return hashlib.blake2b(value, digest_size=VERSION_BYTES).hexdigest()
