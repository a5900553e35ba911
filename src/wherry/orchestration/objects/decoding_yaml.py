"""YAML as Kubernetes reads it: YAML 1.1 booleans and octals, no timestamps, no base-60 numbers, string keys.

In:    the bytes of a document.
Out:   plain JSON values, and a text for every key written twice.
Spec:  sigs.k8s.io/yaml (a YAML 1.1 reader whose result must be JSON); only the first document is read.
Never: follows aliases beyond `VALUES_MAX` values, or into themselves.
"""

import math
import re
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
_NULLS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_RESOLVER: Any = yaml.resolver.Resolver()
_STRING = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(body: bytes, depth_max: int) -> tuple[Any, list[str]]:
    """(value, duplicate texts such as `line 7: key "a" already set in map`). Raises `Malformed`."""
    try:
        loader = _Loader(body)
        try:
            node = loader.get_node() if loader.check_node() else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Malformed(f"error converting YAML to JSON: yaml: {' '.join(str(error).split())[:400]}") from error
    except RecursionError as error:
        raise Malformed("error converting YAML to JSON: yaml: exceeded max depth") from error
    reader = _Reader(depth_max)
    return (None if node is None else reader.value(node, 0)), reader.duplicates


class _Reader:
    """Turns the node graph into values, counting them: aliases are written out, so a small text can grow without end."""

    def __init__(self, depth_max: int) -> None:
        self.duplicates: list[str] = []
        self._depth_max = depth_max
        self._count = 0

    def value(self, node: Any, depth: int) -> Any:
        self._count += 1
        if depth > self._depth_max:
            raise Malformed(f"error converting YAML to JSON: yaml: exceeded max depth of {self._depth_max}")
        if self._count > VALUES_MAX:
            raise Malformed("error converting YAML to JSON: yaml: document contains excessive aliasing")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        return _scalar(node)

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._merge(merged, value_node, depth)
                continue
            key = _key(key_node)
            if key in out:
                self.duplicates.append(f'line {key_node.start_mark.line + 1}: key "{key}" already set in map')
            out[key] = self.value(value_node, depth + 1)
        return {**merged, **out} if merged else out

    def _merge(self, merged: dict[str, Any], node: Any, depth: int) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            value = self.value(source, depth + 1)
            if not isinstance(value, dict):
                raise Malformed("error converting YAML to JSON: yaml: map merge requires map or sequence of maps")
            for key, member in value.items():
                merged.setdefault(key, member)


def _key(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise Malformed("error converting YAML to JSON: yaml: a map key must be a scalar")
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.style in ("'", '"', "|", ">"):
        return text
    if node.tag == _STRING and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) != _STRING:
        return text  # an explicit !!str
    if node.tag.startswith("!") or node.tag == "tag:yaml.org,2002:binary":
        raise Malformed(f"error converting YAML to JSON: yaml: tag {node.tag[:80]!r} is not read")
    return _plain(text)


def _plain(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            return text
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    if _NOT_FINITE.fullmatch(text):
        raise Malformed(f"error converting YAML to JSON: json: unsupported value: {text}")
    return text


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if digits[:2] in ("0b", "0o", "0x"):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)
