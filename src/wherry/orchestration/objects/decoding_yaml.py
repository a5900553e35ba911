"""YAML as Kubernetes reads it: YAML 1.1 booleans and octals, no timestamps, no base-60 numbers, string keys.

In:    the bytes of a document.
Out:   plain JSON values, and a text for every key written twice.
Spec:  sigs.k8s.io/yaml (a YAML 1.1 reader whose result must be JSON); only the first document is read.
Never: follows aliases beyond `VALUES_MAX` values, or into themselves.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

from wherry.orchestration.objects.decoding_errors import Malformed

VALUES_MAX = 500_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEANS = {
    word: value
    for words, value in ((("y", "yes", "on", "true"), True), (("n", "no", "off", "false"), False))
    for base in words
    for word in (base, base.capitalize(), base.upper())
}
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**64 - 1
INTEGER_DIGITS_MAX = 300  # more would not fit a float either
_NULLS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CORE_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp"))


@dataclass(slots=True)
class _Node:
    """A scalar (`text`), sequence (`items`) or mapping (`pairs`), as the parser's events gave it."""

    line: int
    tag: str = ""  # "" unless written in the document
    is_plain: bool = False
    text: str = ""
    items: "list[_Node] | None" = None
    pairs: "list[tuple[_Node, _Node]] | None" = None


def read_yaml(body: bytes, depth_max: int) -> tuple[Any, list[str]]:
    """(value, duplicate texts such as `line 7: key "a" already set in map`). Raises `Malformed`."""
    try:
        loader = _Loader(body)
        try:
            node = _Composer(loader, depth_max).document()
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _malformed(" ".join(str(error).split())[:400]) from error
    reader = _Reader(depth_max)
    return (None if node is None else reader.value(node, 0)), reader.duplicates


def _malformed(text: str) -> Malformed:
    return Malformed(f"error converting YAML to JSON: yaml: {text}")


class _Composer:
    """Builds nodes from events. PyYAML's own composer recurses in C without a limit: deep input would end the process."""

    def __init__(self, loader: Any, depth_max: int) -> None:
        self._loader = loader
        self._depth_max = depth_max
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def document(self) -> _Node | None:
        while True:
            event = self._loader.get_event()
            if isinstance(event, yaml.StreamEndEvent):
                return None
            if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                return self._node(event, 0)

    def _node(self, event: Any, depth: int) -> _Node:
        self._count += 1
        if depth > self._depth_max:
            raise _malformed(f"exceeded max depth of {self._depth_max}")
        if self._count > VALUES_MAX:
            raise _malformed(f"document has more than {VALUES_MAX} values")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _malformed(f"unknown anchor '{str(event.anchor)[:80]}' referenced")
            return self._anchors[event.anchor]
        node = _Node(event.start_mark.line + 1, event.tag or "")
        if event.anchor:
            self._anchors[event.anchor] = node
        match event:
            case yaml.ScalarEvent():
                node.text, node.is_plain = event.value, event.style in (None, "")
            case yaml.SequenceStartEvent():
                node.items = []
                while not isinstance(inner := self._loader.get_event(), yaml.SequenceEndEvent):
                    node.items.append(self._node(inner, depth + 1))
            case _:
                node.pairs = []
                while not isinstance(inner := self._loader.get_event(), yaml.MappingEndEvent):
                    key = self._node(inner, depth + 1)
                    node.pairs.append((key, self._node(self._loader.get_event(), depth + 1)))
        return node


class _Reader:
    """Turns nodes into values, counting them: aliases are written out, so a small text can grow without end."""

    def __init__(self, depth_max: int) -> None:
        self.duplicates: list[str] = []
        self._depth_max = depth_max
        self._count = 0

    def value(self, node: _Node, depth: int) -> Any:
        self._count += 1
        if depth > self._depth_max:
            raise _malformed(f"exceeded max depth of {self._depth_max}")
        if self._count > VALUES_MAX:
            raise _malformed("document contains excessive aliasing")
        if node.pairs is not None:
            return self._mapping(node.pairs, depth)
        if node.items is not None:
            return [self.value(item, depth + 1) for item in node.items]
        return _scalar(node)

    def _mapping(self, pairs: "list[tuple[_Node, _Node]]", depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in pairs:
            if key_node.is_plain and key_node.text == "<<":
                self._merge(merged, value_node, depth)
                continue
            key = _key(key_node)
            if key in out:
                self.duplicates.append(f'line {key_node.line}: key "{key}" already set in map')
            out[key] = self.value(value_node, depth + 1)
        return {**merged, **out} if merged else out

    def _merge(self, merged: dict[str, Any], node: _Node, depth: int) -> None:
        for source in node.items if node.items is not None else [node]:
            value = self.value(source, depth + 1)
            if not isinstance(value, dict):
                raise _malformed("map merge requires map or sequence of maps as the value")
            for key, member in value.items():
                merged.setdefault(key, member)


def _key(node: _Node) -> str:
    if node.pairs is not None or node.items is not None:
        raise _malformed("a map key must be a scalar")
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _scalar(node: _Node) -> Any:
    if node.tag and node.tag != "!" and not node.tag.startswith(_CORE_TAGS):
        raise _malformed(f"tag {node.tag[:80]!r} is not read")
    is_text = node.tag in ("!", "tag:yaml.org,2002:str")
    return _plain(node.text) if not is_text and (node.is_plain or node.tag) else node.text


def _plain(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > INTEGER_DIGITS_MAX:
            raise _malformed(f"json: unsupported value: {text[:20]}...")
        return _storable(_integer(text.replace("_", "")))
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            return text
        return _storable(int(number)) if number.is_integer() and abs(number) < 1e21 else number
    if _NOT_FINITE.fullmatch(text):
        raise _malformed(f"json: unsupported value: {text}")
    return text


def _storable(number: int) -> int | float:
    """What JSON decoders make of it: a float beyond 64 bits, which no encoder would write as an integer."""
    return number if INTEGER_MIN <= number <= INTEGER_MAX else float(number)


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if digits[:2] in ("0b", "0o", "0x"):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)
