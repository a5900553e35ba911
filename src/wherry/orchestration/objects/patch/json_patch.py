"""JSON patch: a list of operations on a document.

In:    a document and the decoded list of operations.
Out:   a new document; the one given is not changed, also when an operation fails.
Spec:  RFC 6902 and RFC 6901. As upstream (evanphx/json-patch v4): negative indices count from the end, `remove` and
       `replace` of what is absent fail, `test` for null holds for an absent member, error texts.
"""

from collections.abc import Callable
from typing import Any

import orjson

from wherry.kit.errors import Invalid
from wherry.orchestration.objects.patch.json_value import check_depth, copied, same

OPERATIONS_MAX = 10_000  # kube-apiserver's limit
COPIED_BYTES_MAX = 3 << 20  # kube-apiserver's limit on what all `copy` operations add
_ABSENT = object()

Operation = dict[str, Any]


class TooManyOperations(Invalid):
    """More than `OPERATIONS_MAX`: upstream answers 413."""


class OperationFailed(Invalid):
    """The patch is well formed and does not fit the document: upstream answers 422."""


def apply(doc: Any, operations: Any) -> Any:
    """`doc` after all operations. Raises `Invalid`; nothing is half applied."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise Invalid("json: cannot unmarshal into Go value of type jsonpatch.Patch")
    if len(operations) > OPERATIONS_MAX:
        raise TooManyOperations(
            f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(operations)}"
        )
    check_depth(operations)
    target = _Target(copied(doc))
    for operation in operations:
        _OPERATIONS.get(str(operation.get("op", "")), _unknown)(target, operation)
    if any(operation.get("op") in ("copy", "move") for operation in operations):
        check_depth(target.doc)
    return target.doc


class _Target:
    """The document under way, in a box so that the root can be replaced too."""

    def __init__(self, doc: Any) -> None:
        self.doc = doc
        self.copied_bytes = 0

    def container(self, pointer: str) -> tuple[Any, str]:
        """(the dict or list that holds the place, its last token); the container is None when it is missing."""
        if not pointer:
            return [self.doc], "0"
        tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
        if not pointer.startswith("/"):
            return None, pointer
        here = self.doc
        for token in tokens[:-1]:
            here = _member(here, token)
            if not isinstance(here, dict | list):
                return None, tokens[-1]
        return (here if isinstance(here, dict | list) else None), tokens[-1]


def _add(target: _Target, operation: Operation) -> None:
    path = _pointer(operation, "path")
    _put(target, path, copied(operation.get("value")), "add")


def _remove(target: _Target, operation: Operation) -> None:
    _take(target, _pointer(operation, "path"), "remove operation does not apply: doc is missing path")


def _replace(target: _Target, operation: Operation) -> None:
    path, value = _pointer(operation, "path"), copied(operation.get("value"))
    container, token = target.container(path)
    if container is None:
        raise OperationFailed(f"replace operation does not apply: doc is missing path: {path}: missing value")
    if _member(container, token) is _ABSENT:
        raise OperationFailed(f"replace operation does not apply: doc is missing key: {path}: missing value")
    if not path:
        target.doc = value
    elif isinstance(container, dict):
        container[token] = value
    else:
        container[int(token)] = value


def _move(target: _Target, operation: Operation) -> None:
    origin, path = _pointer(operation, "from"), _pointer(operation, "path")
    if path.startswith(f"{origin}/"):
        raise OperationFailed(f"move operation does not apply: path {path} is inside from path {origin}")
    value = _take(target, origin, "move operation does not apply: doc is missing from path")
    _put(target, path, value, "move")


def _copy(target: _Target, operation: Operation) -> None:
    origin, path = _pointer(operation, "from"), _pointer(operation, "path")
    container, token = target.container(origin)
    value = _ABSENT if container is None else _member(container, token)
    if value is _ABSENT:
        raise OperationFailed(f"copy operation does not apply: doc is missing from path: {origin}: missing value")
    check_depth(value)  # earlier copies may have nested it deeper than orjson can write
    target.copied_bytes += len(orjson.dumps(value))
    if target.copied_bytes > COPIED_BYTES_MAX:
        raise OperationFailed(
            f"Unable to complete the copy, the accumulated size increase of copy is {target.copied_bytes}, "
            f"exceeding the limit {COPIED_BYTES_MAX}"
        )
    _put(target, path, copied(value), "copy")


def _test(target: _Target, operation: Operation) -> None:
    path, expected = _pointer(operation, "path"), operation.get("value")
    container, token = target.container(path)
    found = _ABSENT if container is None else _member(container, token)
    if found is _ABSENT and container is None:
        raise OperationFailed(f"error in test for path: '{path}': missing value")
    if not same(None if found is _ABSENT else found, expected):
        raise OperationFailed(f"testing value {path} failed: test failed")


def _unknown(target: _Target, operation: Operation) -> None:
    raise Invalid(f"Unexpected kind: {operation.get('op', 'unknown')}")


_OPERATIONS: dict[str, Callable[[_Target, Operation], None]] = {
    "add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test,
}  # fmt: skip


def _pointer(operation: Operation, name: str) -> str:
    pointer = operation.get(name)
    if not isinstance(pointer, str):
        raise Invalid(f"failed to decode {name} of {operation.get('op')} operation: must be a JSON pointer")
    return pointer


def _member(container: Any, token: str) -> Any:
    if isinstance(container, dict):
        return container.get(token, _ABSENT)
    if isinstance(container, list) and token != "-":
        index = _index(token, len(container))
        return container[index] if index < len(container) else _ABSENT
    return _ABSENT


def _put(target: _Target, path: str, value: Any, verb: str) -> None:
    container, token = target.container(path)
    if container is None:
        raise OperationFailed(f'{verb} operation does not apply: doc is missing path: "{path}": missing value')
    if not path:
        target.doc = value
    elif isinstance(container, dict):
        container[token] = value
    elif token == "-":
        container.append(value)
    else:
        index = _index(token, len(container) + 1)
        if index > len(container):
            raise OperationFailed(
                f"error in {verb} for path: '{path}': Unable to access invalid index: {token}: invalid index referenced"
            )
        container.insert(index, value)


def _take(target: _Target, path: str, missing: str) -> Any:
    container, token = target.container(path)
    value = _ABSENT if container is None or not path else _member(container, token)
    if container is None or not path:
        raise OperationFailed(f'{missing}: "{path}": missing value')
    if value is _ABSENT:
        text = "Unable to remove nonexistent key" if isinstance(container, dict) else "Unable to access invalid index"
        raise OperationFailed(f"error in remove for path: '{path}': {text}: {token}: missing value")
    if isinstance(container, dict):
        del container[token]
    else:
        del container[_index(token, len(container))]
    return value


def _index(token: str, size: int) -> int:
    """The place `token` names in a list of `size`, counted from the end when negative."""
    digits = token.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise OperationFailed(f'strconv.Atoi: parsing "{token[:40]}": invalid syntax')
    index = int(token)
    if index < -size:
        raise OperationFailed(f"Unable to access invalid index: {token}: invalid index referenced")
    return index + size if index < 0 else index
