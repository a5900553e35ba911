"""Is a regular expression one that Envoy's RE2 accepts, and what do all its matches begin with.

In:    the text of an expression that must match a whole value.
Spec:  RE2 syntax; no look-around, back-references, conditionals, atomic groups or possessive repeats.
Why strict: one expression that Envoy refuses would hold back the routes of everybody on the same port.
Known gap: checked with Python's parser, so RE2-only escapes such as \\pN, \\z and \\Q are refused too.
"""

import re
import warnings

LENGTH_MAX = 1024
REPEATS_MAX = 100  # of one part; RE2 unrolls them
UNROLLED_MAX = 4000  # characters, about, after unrolling
# Escapes that both dialects know and mean alike.
_ESCAPE = re.compile(r"\\(?:[dDwWsSbBAtnrfv]|x[0-9A-Fa-f]{2}|[^0-9A-Za-z\s])", re.ASCII)
_GROUP = re.compile(r"\(\?(?!:|P<[A-Za-z_][A-Za-z0-9_]*>|[ims]+[:)])", re.ASCII)
_POSSESSIVE = re.compile(r"[*+?}]\+")
_BACKSPACE = re.compile(r"\[[^\]]*\\b")
_REPEAT = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_SPECIAL = frozenset("\\.[](){}*+?^$|")
_REPEATS = frozenset("*+?{")


def problem_of(pattern: str) -> str:
    """Why the expression cannot be used, "" when it can."""
    if len(pattern) > LENGTH_MAX:
        return f"the expression is longer than {LENGTH_MAX} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # nested sets, which the two dialects read differently
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        return f"not a regular expression: {error}"
    plain = _ESCAPE.sub("_", pattern)
    if "\\" in plain:
        return f"{plain[plain.index(chr(92)) :][:2]!r} is not part of RE2, or not supported"
    for part in (_GROUP.search(plain), _POSSESSIVE.search(plain), _BACKSPACE.search(pattern)):
        if part:
            return f"{part[0]!r} is not part of RE2, or not supported"
    return _size_problem(plain)


def literal_prefix(pattern: str) -> str:
    """A text with which every match of the whole expression begins; may be shorter than the longest such text."""
    if "|" in pattern:
        return ""
    text = pattern.removeprefix("^")
    end = next((index for index, char in enumerate(text) if char in _SPECIAL), len(text))
    if end < len(text) and text[end] in _REPEATS:
        end -= 1  # the last literal character may be absent
    return text[: max(end, 0)]


def _size_problem(plain: str) -> str:
    """Repeats multiply when they are nested, so their product bounds what RE2 unrolls."""
    product = 1
    for found in _REPEAT.finditer(plain):
        count = max(int(number) for number in found.groups() if number)
        if count > REPEATS_MAX:
            return f"{found[0]!r} repeats more than {REPEATS_MAX} times"
        product *= max(1, count)
    return "its repeats make it too large" if product * len(plain) > UNROLLED_MAX and product > 1 else ""
