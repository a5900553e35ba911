"""Patterns of .gitignore, as project.toml's include and exclude use them.

In:    patterns, a path relative to the source (folders end with a slash).
Out:   whether the last pattern that matches it, matches it. Pure.
Spec:  gitignore(5), "PATTERN FORMAT".
"""

import re
from collections.abc import Iterable
from functools import lru_cache


def matches(patterns: Iterable[str], path: str) -> bool:
    """The last matching pattern decides; `!` takes a path out again."""
    found = False
    for pattern in patterns:
        is_negated = pattern.startswith("!")
        if _compiled(pattern.removeprefix("!")).fullmatch(path):
            found = not is_negated
    return found


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """A regular expression for the path itself, and for everything below it."""
    is_folder = pattern.endswith("/")
    body = pattern.strip("/")
    lead = "" if "/" in pattern.rstrip("/") else "(?:.*/)?"
    tail = "/.*" if is_folder else "(?:/.*)?"
    return re.compile(f"{lead}{_translate(body)}{tail}", re.DOTALL) if body else re.compile(r"(?!)")


def _translate(pattern: str) -> str:
    parts, index = [], 0
    while index < len(pattern):
        rest = pattern[index:]
        if rest.startswith("**/"):
            parts.append("(?:.*/)?")
            index += 3
        elif rest.startswith("**"):
            parts.append(".*")
            index += 2
        elif rest[0] == "*":
            parts.append("[^/]*")
            index += 1
        elif rest[0] == "?":
            parts.append("[^/]")
            index += 1
        elif rest[0] == "[" and (end := rest.find("]", 2)) > 0:
            inner = rest[1:end].replace("\\", r"\\")
            parts.append(f"[^{inner[1:]}]" if inner[0] in "!^" else f"[{inner}]")
            index += end + 1
        elif rest[0] == "\\" and len(rest) > 1:
            parts.append(re.escape(rest[1]))
            index += 2
        else:
            parts.append(re.escape(rest[0]))
            index += 1
    return "".join(parts)
