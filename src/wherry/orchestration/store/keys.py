"""Key ranges: what every engine must agree on. Keys are UTF-8 text without NUL, ordered by code point."""

from wherry.kit.errors import Invalid

KEY_LENGTH_MAX = 4096
_CODE_POINT_MAX = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)


def checked_key(key: str) -> str:
    """`key` itself; raises `Invalid` when no engine could hold it."""
    if not key or len(key) > KEY_LENGTH_MAX or "\0" in key or not (key.isascii() or _is_utf8(key)):
        raise Invalid(f"key {key[:80]!r} must be 1-{KEY_LENGTH_MAX} characters of UTF-8 without NUL")
    return key


def _is_utf8(key: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in key)


def end_of_prefix(prefix: str) -> str | None:
    """The first key after all that start with `prefix`; None when there is no such bound."""
    stem = prefix
    while stem:
        code = ord(stem[-1]) + 1
        if _SURROGATES[0] <= code <= _SURROGATES[1]:
            code = _SURROGATES[1] + 1
        if code <= _CODE_POINT_MAX:
            return stem[:-1] + chr(code)
        stem = stem[:-1]
    return None
