"""The JSONPath of Kubernetes, as CRD printer columns and scale paths use it: fields, indices, slices, filters.

In:    an expression such as `.status.conditions[?(@.type=="Ready")].status`, with or without braces.
Out:   `JsonPath.find(obj)`: all values it selects, in document order.
Spec:  https://kubernetes.io/docs/reference/kubectl/jsonpath/
Not there: `range`/`end`, literal text between expressions, `&&` and `||` inside filters: `Invalid`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from wherry.kit.errors import Invalid

_FIELD = re.compile(r"(?:\\.|[^.\[\]\\\s])+")
_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"")
_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(\d+))?")
_FILTER = re.compile(r"\?\(\s*@(?P<path>[^=!<>]*?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?)\s*)?\)")
_EXPRESSION_LENGTH_MAX = 4096
_DEPTH_MAX = 64
_DESCENTS_MAX = 2  # each `..` multiplies what the next one walks

Step = Callable[[Any], Iterator[Any]]


class JsonPath:
    """A parsed expression. Raise `Invalid` from the constructor when it cannot be read."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        if len(expression) > _EXPRESSION_LENGTH_MAX:
            raise Invalid(f"JSONPath is longer than {_EXPRESSION_LENGTH_MAX} characters")
        if expression.count("..") > _DESCENTS_MAX:
            raise Invalid(f"JSONPath {expression!r} has more than {_DESCENTS_MAX} recursive descents")
        text = expression.strip()
        if text.startswith("{") and text.endswith("}"):
            text = text[1:-1].strip()
        self._steps = _parse(text.removeprefix("$").removeprefix("@"), expression)

    def find(self, obj: Any) -> list[Any]:
        """Everything the expression selects; [] when a part of it is not there."""
        found = [obj]
        for step in self._steps:
            found = [value for parent in found for value in step(parent)]
        return found


def _parse(text: str, whole: str) -> list[Step]:
    steps: list[Step] = []
    at = 0
    while at < len(text):
        if text.startswith("..", at):
            steps.append(_descend)
            at += 2
            if at < len(text) and text[at] not in "[.":
                at = _read_field(text, at, whole, steps)
        elif text[at] == ".":
            at += 1
            if at < len(text) and text[at] != "[":
                at = _read_field(text, at, whole, steps)
        elif text[at] == "[":
            at = _read_bracket(text, at, whole, steps)
        elif at == 0:
            at = _read_field(text, at, whole, steps)
        else:
            raise Invalid(f"JSONPath {whole!r}: unexpected {text[at]!r} at {at}")
    return steps


def _read_field(text: str, at: int, whole: str, steps: list[Step]) -> int:
    match = _FIELD.match(text, at)
    if match is None:
        raise Invalid(f"JSONPath {whole!r}: a field name is missing at {at}")
    name = re.sub(r"\\(.)", r"\1", match[0])
    steps.append(_every if name == "*" else _field(name))
    return match.end()


def _read_bracket(text: str, at: int, whole: str, steps: list[Step]) -> int:
    end = _closing(text, at, whole)
    inside = text[at + 1 : end].strip()
    if inside == "*":
        steps.append(_every)
    elif inside.startswith("?"):
        steps.append(_filter(inside, whole))
    elif inside[:1] in ("'", '"'):
        names = [match[1] if match[1] is not None else match[2] for match in _QUOTED.finditer(inside)]
        steps.append(_union([_field(re.sub(r"\\(.)", r"\1", name)) for name in names]))
    elif _SLICE.fullmatch(inside):
        steps.append(_slice(inside))
    elif re.fullmatch(r"-?\d+(\s*,\s*-?\d+)*", inside):
        steps.append(_union([_index(int(part)) for part in inside.split(",")]))
    else:
        raise Invalid(f"JSONPath {whole!r}: cannot read [{inside}]")
    return end + 1


def _closing(text: str, at: int, whole: str) -> int:
    depth, quote = 0, ""
    for position in range(at, len(text)):
        letter = text[position]
        if quote:
            quote = "" if letter == quote and text[position - 1] != "\\" else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "[":
            depth += 1
        elif letter == "]":
            depth -= 1
            if depth == 0:
                return position
    raise Invalid(f"JSONPath {whole!r}: unterminated array")


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _slice(inside: str) -> Step:
    match = _SLICE.fullmatch(inside)
    assert match is not None
    start, stop, stride = (int(text) if text else None for text in match.groups())

    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[start:stop:stride or 1]

    return step


def _union(steps: list[Step]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        for one in steps:
            yield from one(value)

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _descend(value: Any, depth: int = 0) -> Iterator[Any]:
    yield value
    if depth < _DEPTH_MAX:
        for child in _every(value):
            yield from _descend(child, depth + 1)


def _filter(inside: str, whole: str) -> Step:
    match = _FILTER.fullmatch(inside)
    if match is None:
        raise Invalid(f"JSONPath {whole!r}: cannot read filter {inside}")
    path = _parse(match["path"], whole)
    compare = _comparison(match["op"], match["value"], whole) if match["op"] else None

    def step(value: Any) -> Iterator[Any]:
        for child in _every(value):
            found = [child]
            for one in path:
                found = [grandchild for parent in found for grandchild in one(parent)]
            if found and (compare is None or compare(found[0])):
                yield child

    return step


def _comparison(operator: str, text: str, whole: str) -> Callable[[Any], bool]:
    wanted = _literal(text, whole)

    def compare(value: Any) -> bool:
        if operator in ("==", "!="):
            return (type(value) is type(wanted) and value == wanted) == (operator == "==")
        if not isinstance(value, int | float) or not isinstance(wanted, int | float):
            return False
        return bool({"<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[operator])

    return compare


def _literal(text: str, whole: str) -> Any:
    match = _QUOTED.fullmatch(text)
    if match is not None:
        return match[1] if match[1] is not None else match[2]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise Invalid(f"JSONPath {whole!r}: {text!r} is no literal") from None
