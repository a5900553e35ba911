"""`$(NAME)` in commands, arguments, environment and subPathExpr. Pure.

Spec: core/v1 Container: unknown names stay as written, `$$` gives `$`, so `$$(NAME)` is never expanded.
"""

from collections.abc import Callable, Mapping

from wherry.kit.errors import Invalid


def expand(text: str, lookup: Callable[[str], str | None]) -> str:
    """`text` with each `$(NAME)` that `lookup` knows replaced."""
    if "$" not in text:
        return text
    parts: list[str] = []
    at = 0
    while (mark := text.find("$", at)) != -1:
        parts.append(text[at:mark])
        following = text[mark + 1 : mark + 2]
        end = text.find(")", mark) if following == "(" else -1
        if following == "$":
            parts.append("$")
            at = mark + 2
        elif end != -1:
            name = text[mark + 2 : end]
            value = lookup(name)
            parts.append(f"$({name})" if value is None else value)
            at = end + 1
        else:
            parts.append("$")
            at = mark + 1
    parts.append(text[at:])
    return "".join(parts)


def expand_all(texts: list[str] | None, values: Mapping[str, str]) -> tuple[str, ...]:
    """Command or args with `values` put in."""
    return tuple(expand(text, values.get) for text in texts or ())


def expand_strictly(text: str, values: Mapping[str, str]) -> str:
    """For subPathExpr: an unknown name is an error, not a literal. Raise `Invalid`."""
    missing: list[str] = []

    def lookup(name: str) -> str | None:
        if name not in values:
            missing.append(name)
        return values.get(name)

    result = expand(text, lookup)
    if missing:
        raise Invalid(f"missing value for {missing[0]!r}")
    return result
