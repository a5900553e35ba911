"""Field paths: the elements FieldsV1 is made of, its codec, and how a path is printed.

In:    FieldsV1 trees (`{"f:spec": {"f:replicas": {}}}`).
Out:   sets of paths; a path is a tuple of elements just as FieldsV1 spells them: `f:name`, `k:{"name":"x"}`, `v:"x"`, `i:0`.
Spec:  sigs.k8s.io/structured-merge-diff, fieldpath: a member has `{}`, or `.` when it has children too.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import orjson

from wherry.kit.errors import Invalid

Path = tuple[str, ...]
Paths = frozenset[Path]
Fields = dict[str, Any]

_ELEMENT = re.compile(r"[fkvi]:", re.DOTALL)
DEPTH_MAX = 200
ELEMENTS_KEPT = 4096


def read_fields(fields: Fields) -> Paths:
    """The paths of a FieldsV1 tree. Raises `Invalid` when it is none."""
    found: list[Path] = []
    waiting: list[tuple[Path, Any]] = [((), fields)]
    while waiting:
        path, tree = waiting.pop()
        if not isinstance(tree, dict) or len(path) > DEPTH_MAX:
            raise Invalid("fieldsV1 is not a tree of fields")
        if path and (not tree or "." in tree):
            found.append(path)
        for element, below in tree.items():
            if element == ".":
                continue
            if not _ELEMENT.match(element):
                raise Invalid(f"fieldsV1 has the element {element[:40]!r}; it must start with f:, k:, v: or i:")
            waiting.append(((*path, element), below))
    return frozenset(found)


def key_element(keys: dict[str, Any]) -> str:
    """`k:{"name":"x"}`: the element of an associative list's item."""
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


@lru_cache(ELEMENTS_KEPT)
def one_key_element(key: str, value: str) -> str:
    """`key_element` of the commonest kind of key, one text; the same names come again and again."""
    return key_element({key: value})


def value_element(value: Any) -> str:
    """`v:"x"`: the element of a set's item."""
    return "v:" + orjson.dumps(value).decode()


def text_of(path: Path) -> str:
    """`.spec.containers[name="x"].image`, as conflicts show it."""
    return "".join(map(_element_text, path))


def parents(paths: Iterable[Path]) -> Iterator[Path]:
    """Every proper, non-empty prefix of every path."""
    for path in paths:
        for size in range(1, len(path)):
            yield path[:size]


def _element_text(element: str) -> str:
    if element.startswith("f:"):
        return f".{element[2:]}"
    if element.startswith("k:"):
        keys = orjson.loads(element[2:])
        return "[" + ",".join(f"{key}={_scalar(value)}" for key, value in sorted(keys.items())) + "]"
    return f"[={element[2:]}]" if element.startswith("v:") else f"[{element[2:]}]"


def _scalar(value: Any) -> str:
    return orjson.dumps(value).decode()
