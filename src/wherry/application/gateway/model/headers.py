"""Names and values of HTTP header fields.

Spec:  RFC 9110, 5.1 and 5.5.
"""

import re

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")


def is_header_name(text: str) -> bool:
    """True for a token of at most 256 characters."""
    return _TOKEN.fullmatch(text) is not None


def is_header_value(text: str) -> bool:
    """True when there is no control character but the tab in it."""
    return not any((ord(char) < 0x20 and char != "\t") or ord(char) == 0x7F for char in text)
