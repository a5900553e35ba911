"""Paths that a request can have, as far as Envoy's configuration accepts them."""

from wherry.kit.errors import Invalid

PATH_LENGTH_MAX = 1024


def checked_path(value: str) -> str:
    """The value, if a normalised path without query can be equal to it. Raise `Invalid` otherwise."""
    if not value.startswith("/") or len(value) > PATH_LENGTH_MAX:
        raise Invalid(f"path {value[:64]!r} does not begin with / or is longer than {PATH_LENGTH_MAX} characters")
    if any(ord(char) <= 0x20 or ord(char) == 0x7F or char in "?#" for char in value):
        raise Invalid(f"path {value[:64]!r} holds characters that are not part of a path")
    return value
