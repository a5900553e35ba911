r"""Regular expressions as CRDs write them (RE2) for Python's `re`.

Out:   `compile_pattern(text)`; raises `re.error` when it is no expression.
Spec:  https://github.com/google/re2/wiki/Syntax ; translated: `$` and `\z` are the very end, `[[:alpha:]]`, `\Q...\E`.
Not there: Unicode classes: `\p{L}` and the like match any word character, which is wider. Time is not bounded as in RE2.
"""

import re
from functools import lru_cache

_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\s",
    "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}
_POSIX_CLASS = re.compile(r"\[:([a-z]+):\]")
_UNICODE_CLASS = re.compile(r"\\([pP])(\{\^?\w+\}|\w)")
_QUOTED = re.compile(r"\\Q(.*?)(\\E|$)", re.DOTALL)


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> re.Pattern[str]:
    """Compiled once a text."""
    return re.compile(_translate(text))


def _translate(text: str) -> str:
    out: list[str] = []
    position, class_start, is_multiline = 0, -1, "(?m" in text
    while position < len(text):
        char = text[position]
        if char == "\\":
            part, position = _escape(text, position)
            out.append(part)
            continue
        posix = _POSIX_CLASS.match(text, position) if class_start >= 0 else None
        if posix is not None and posix.group(1) in _POSIX:
            out.append(_POSIX[posix.group(1)])
            position = posix.end()
            continue
        if class_start < 0 and char == "[":
            class_start = position + (2 if text[position + 1:position + 2] == "^" else 1)
        elif class_start >= 0 and char == "]" and position > class_start:
            class_start = -1
        elif class_start >= 0 and char == "[":
            char = r"\["
        elif class_start < 0 and char == "$" and not is_multiline:
            char = r"\Z"
        out.append(char)
        position += 1
    return "".join(out)


def _escape(text: str, position: int) -> tuple[str, int]:
    """(what Python writes for the escape at `position`, where it ends)."""
    if (found := _UNICODE_CLASS.match(text, position)) is not None:
        return (r"\w" if found.group(1) == "p" else r"\W"), found.end()
    if (found := _QUOTED.match(text, position)) is not None:
        return re.escape(found.group(1)), found.end()
    pair = text[position:position + 2]
    return {r"\z": r"\Z"}.get(pair, pair), position + 2
