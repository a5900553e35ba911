"""Label and field selectors: parsed once, then matched often.

In:    `labelSelector` and `fieldSelector` texts of a query, LabelSelector objects, plain label maps.
Out:   immutable selectors with `.matches()` and upstream's canonical text by `str()`.
Spec:  k8s.io/apimachinery/pkg/labels and pkg/fields; error texts are theirs.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.selector_text import read_fields, read_labels

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NAME_LENGTH_MAX = 63
_PREFIX_LENGTH_MAX = 253
_EXPRESSION_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_NAME_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_PREFIX_TEXT = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


EQUALITIES = frozenset({"=", "==", "in"})  # with one value, each of them is one


@dataclass(frozen=True, slots=True)
class Requirement:
    """`operator` is one of `= == != in notin exists ! gt lt`; `values` are sorted and unique."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.key)
        match self.operator:
            case "=" | "==" | "in":
                return found in self.values if found is not None else False
            case "!=" | "notin":
                return found is None or found not in self.values
            case "exists":
                return found is not None
            case "!":
                return found is None
        if found is None or not _INTEGER.fullmatch(found):
            return False
        return int(found) > int(self.values[0]) if self.operator == "gt" else int(found) < int(self.values[0])

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
        return f"{self.key}{ {'gt': '>', 'lt': '<'}.get(self.operator, self.operator) }{self.values[0]}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold. Without any it matches everything, or nothing when `matches_nothing`."""

    requirements: tuple[Requirement, ...] = ()
    matches_nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.matches_nothing:
            return False
        return all(requirement.matches(labels or {}) for requirement in self.requirements)

    def equalities(self) -> dict[str, str] | None:
        """The labels and their values where the selector asks for nothing else, and for no label twice; None otherwise."""
        if self.matches_nothing or not all(r.operator in EQUALITIES and len(r.values) == 1 for r in self.requirements):
            return None
        found = {r.key: r.values[0] for r in self.requirements}
        return found if len(found) == len(self.requirements) else None

    @property
    def is_everything(self) -> bool:
        """True when no label can make a difference."""
        return not self.requirements and not self.matches_nothing

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(matches_nothing=True)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """`requirements` are (path, "=" or "!=", value); all must hold."""

    requirements: tuple[tuple[str, str, str], ...] = ()

    def matches(self, get: Callable[[str], str]) -> bool:
        """`get` gives the text of a field path, "" when it is unset."""
        return all((get(path) == value) == (operator == "=") for path, operator, value in self.requirements)

    def exact(self, path: str) -> str | None:
        """The value `path` must have, or None when the selector does not say."""
        return next((v for p, operator, v in self.requirements if p == path and operator == "="), None)

    def __str__(self) -> str:
        return ",".join(f"{path}{operator}{_escape(value)}" for path, operator, value in self.requirements)


def parse_labels(text: str) -> LabelSelector:
    """Read `a=b,c!=d,e in (f,g),h,!i,j>1`. Raises `Invalid`."""
    read = read_labels(text, check_key=lambda key: _check_key(key, "<nil>"))
    return LabelSelector(tuple(sorted((_requirement(*row) for row in read), key=lambda r: r.key)))


def from_label_selector(selector: Mapping[str, Any] | None) -> LabelSelector:
    """Of a metav1.LabelSelector: None matches nothing, an empty one everything. Raises `Invalid`."""
    if selector is None:
        return NOTHING
    found = [_requirement(key, "=", (str(value),)) for key, value in (selector.get("matchLabels") or {}).items()]
    for expression in selector.get("matchExpressions") or ():
        operator = _EXPRESSION_OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise Invalid(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        found.append(_requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ())))
    return LabelSelector(tuple(sorted(found, key=lambda r: r.key)))


def from_map(labels: Mapping[str, str] | None) -> LabelSelector:
    """Every label of `labels` must be there; an empty map matches everything. Values are not checked."""
    return LabelSelector(tuple(Requirement(key, "=", (value,)) for key, value in sorted((labels or {}).items())))


def parse_fields(text: str) -> FieldSelector:
    """Read `metadata.name=a,status.phase!=Running`. Raises `Invalid`."""
    return FieldSelector(tuple(read_fields(text)))


def _requirement(key: str, operator: str, values: tuple[str, ...]) -> Requirement:
    _check_key(key, "key")
    shown = "[" + ", ".join(f'"{value}"' for value in values) + "]"
    wrong = ""
    match operator:
        case "in" | "notin" if not values:
            wrong = "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
        case "=" | "==" | "!=" if len(values) != 1:
            wrong = f"values: Invalid value: {shown}: exact-match compatibility requires one single value"
        case "exists" | "!" if values:
            wrong = f"values: Invalid value: {shown}: values set must be empty for exists and does not exist"
        case "gt" | "lt" if len(values) != 1:
            wrong = f"values: Invalid value: {shown}: for 'Gt', 'Lt' operators, exactly one value is required"
        case "gt" | "lt" if not _INTEGER.fullmatch(values[0]):
            wrong = f"values[0]: Invalid value: \"{values[0]}\": for 'Gt', 'Lt' operators, the value must be an integer"
    if wrong:
        raise Invalid(wrong)
    for index, value in enumerate(values):
        _check_value(key, value, index)
    return Requirement(key, operator, tuple(sorted(set(values))))


def _check_key(key: str, path: str) -> None:
    prefix, slash, name = key.rpartition("/")
    wrong = ""
    if "/" in prefix:
        wrong = (
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
    elif slash and not prefix:
        wrong = "prefix part must be non-empty"
    elif slash and len(prefix) > _PREFIX_LENGTH_MAX:
        wrong = f"prefix part must be no more than {_PREFIX_LENGTH_MAX} characters"
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        wrong = _PREFIX_TEXT
    elif not name:
        wrong = f"name part must be non-empty; name part {_NAME_TEXT}"
    elif len(name) > _NAME_LENGTH_MAX:
        wrong = f"name part must be no more than {_NAME_LENGTH_MAX} characters"
    elif not _NAME.fullmatch(name):
        wrong = f"name part {_NAME_TEXT}"
    if wrong:
        raise Invalid(f'{path}: Invalid value: "{key}": {wrong}')


def _check_value(key: str, value: str, index: int) -> None:
    wrong = ""
    if len(value) > _NAME_LENGTH_MAX:
        wrong = f"must be no more than {_NAME_LENGTH_MAX} bytes"
    elif value and not _NAME.fullmatch(value):
        wrong = _VALUE_TEXT
    if wrong:
        raise Invalid(f'values[{index}][{key}]: Invalid value: "{value}": {wrong}')


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)
