"""Is a regular expression one that Envoy's RE2 accepts, and what do all its matches begin with.

In:    the text of an expression that must match a whole value.
Spec:  RE2 syntax; no look-around, back-references, conditionals, atomic groups or possessive repeats.
Known gap: checked with Python's parser, so RE2-only escapes such as \\pN and \\Q are refused too.
"""

import re

LENGTH_MAX = 1024
_NOT_RE2 = re.compile(r"\(\?(?:[=!>(]|<[=!]|P=)|\\[1-9]|[*+?}]\+")
_SPECIAL = frozenset("\\.[](){}*+?^$|")
_REPEATS = frozenset("*+?{")


def problem_of(pattern: str) -> str:
    """Why the expression cannot be used, "" when it can."""
    if len(pattern) > LENGTH_MAX:
        return f"the expression is longer than {LENGTH_MAX} characters"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    found = _NOT_RE2.search(pattern.replace("\\\\", ""))
    return f"{found[0]!r} is not part of RE2" if found else ""


def literal_prefix(pattern: str) -> str:
    """A text with which every match of the whole expression begins; may be shorter than the longest such text."""
    if "|" in pattern:
        return ""
    text = pattern.removeprefix("^")
    end = next((index for index, char in enumerate(text) if char in _SPECIAL), len(text))
    if end < len(text) and text[end] in _REPEATS:
        end -= 1  # the last literal character may be absent
    return text[: max(end, 0)]
