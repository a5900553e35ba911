"""The grammar of selector texts, without their meaning (`selectors.py` has that).

In:    the text of `labelSelector` or `fieldSelector`.
Out:   (key, operator, values) rows as written; `Invalid` with upstream's words otherwise.
Spec:  k8s.io/apimachinery/pkg/labels (lexer and parser), pkg/fields (terms, backslash escapes).
"""

import re
from collections.abc import Callable, Iterator

from wherry.kit.errors import Invalid

_TOKEN = re.compile(r"[ \t\r\n]*(?:(==|!=|=|!|\(|\)|,|>|<)|([^=!(),><\s]+))")
_BINARY_OPERATORS = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt"}
_END = ""

Row = tuple[str, str, tuple[str, ...]]


def read_labels(text: str, check_key: Callable[[str], None]) -> list[Row]:
    """The requirements of a label selector in the order written. `check_key` raises for a bad key."""
    return _LabelParser(text, check_key).read()


def read_fields(text: str) -> Iterator[tuple[str, str, str]]:
    """The terms of a field selector: (path, "=" or "!=", unescaped value)."""
    for term in _terms(text):
        if term:
            path, operator, value = _split_term(term, text)
            yield path, operator, _unescape(value)


class _LabelParser:
    """Recursive descent over the tokens; `in` and `notin` are words unless an operator is due."""

    def __init__(self, text: str, check_key: Callable[[str], None]) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._check_key = check_key

    def read(self) -> list[Row]:
        rows: list[Row] = []
        while self._next() != _END:
            if not _is_word(self._next()) and self._next() != "!":
                raise Invalid(f"found '{self._next()}', expected: !, identifier, or 'end of string'")
            rows.append(self._requirement())
            after = self._take()
            if after == _END:
                break
            if after != ",":
                raise Invalid(f"found '{after}', expected: ',' or 'end of string'")
            if not _is_word(self._next()) and self._next() != "!":
                raise Invalid(f"found '{self._next()}', expected: identifier after ','")
        return rows

    def _requirement(self) -> Row:
        try:
            return self._read_requirement()
        except Invalid as error:
            raise Invalid(f"unable to parse requirement: {error}") from error

    def _read_requirement(self) -> Row:
        absent = self._next() == "!"
        if absent:
            self._take()
        key = self._take()
        if not _is_word(key):
            raise Invalid(f"found '{key}', expected: identifier")
        self._check_key(key)
        if absent or self._next() in (_END, ","):
            return key, "!" if absent else "exists", ()
        written = self._take()
        operator = _BINARY_OPERATORS.get(written)
        if operator is None:
            raise Invalid(f"found '{written}', expected: {', '.join(_BINARY_OPERATORS.values())}")
        return key, operator, self._values() if operator in ("in", "notin") else (self._exact_value(),)

    def _exact_value(self) -> str:
        if self._next() in (_END, ","):
            return ""
        value = self._take()
        if not _is_word(value):
            raise Invalid(f"found '{value}', expected: identifier")
        return value

    def _values(self) -> tuple[str, ...]:
        if (first := self._take()) != "(":
            raise Invalid(f"found '{first}' expected: '('")
        values: list[str] = []
        current = ""
        while True:
            token = self._take()
            if token == ")":
                # "()" is the empty set; "(,)" and "(a,)" hold an empty value.
                return (*values, current) if values or current else ()
            if token == ",":
                values.append(current)
                current = ""
            elif _is_word(token) and not current:
                current = token
            else:
                raise Invalid(f"found '{token}', expected: ',' or ')'")

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self) -> str:
        token = self._next()
        self._at += 1
        return token


def _tokens(text: str) -> Iterator[str]:
    at, end = 0, len(text.rstrip(" \t\r\n"))
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise Invalid(f"unable to parse requirement: found '{text[at:at + 20]}', expected: identifier")
        yield found.group(1) or found.group(2)
        at = found.end()


def _is_word(token: str) -> bool:
    return token != _END and token[0] not in "=!(),><"


def _terms(text: str) -> Iterator[str]:
    yield from (found.group(0) for found in re.finditer(r"(?:\\.|[^,\\]|\\$)+", text))


def _split_term(term: str, text: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"((?:\\.|[^\\=!]|!(?!=))*)(!=|==|=)(.*)", term, re.DOTALL)
    if found is None:
        raise Invalid(f"invalid selector: '{text}'; can't understand '{term}'")
    return found.group(1), "!=" if found.group(2) == "!=" else "=", found.group(3)


def _unescape(value: str) -> str:
    out: list[str] = []
    at = 0
    while at < len(value):
        char = value[at]
        if char == "\\":
            escaped = value[at + 1 : at + 2]
            if escaped not in ("\\", ",", "="):
                raise Invalid(f"invalid field selector: invalid escape sequence: \\{escaped}")
            char, at = escaped, at + 1
        elif char in ",=":
            raise Invalid(f"invalid field selector: unescaped character in value: {ord(char)}")
        out.append(char)
        at += 1
    return "".join(out)
