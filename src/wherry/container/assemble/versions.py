"""Compare Debian package versions.

Spec: Debian Policy 5.6.12; deb-version(7).
"""

import functools
import re

_PARTS = re.compile(r"(\D*)(\d*)")
_OPERATORS = {"<<": (-1,), "<=": (-1, 0), "=": (0,), ">=": (0, 1), ">>": (1,), "<": (-1, 0), ">": (0, 1)}


def compare(left: str, right: str) -> int:
    """-1, 0 or 1."""
    left_epoch, left_upstream, left_revision = _split(left)
    right_epoch, right_upstream, right_revision = _split(right)
    if left_epoch != right_epoch:
        return -1 if left_epoch < right_epoch else 1
    return _compare(left_upstream, right_upstream) or _compare(left_revision, right_revision)


def satisfies(version: str, operator: str, wanted: str) -> bool:
    """Whether `version` `operator` `wanted` holds; an empty operator always does."""
    return not operator or compare(version, wanted) in _OPERATORS[operator]


sort_key = functools.cmp_to_key(compare)


def _split(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (int(epoch) if epoch.isdigit() else 0), (upstream if dash else rest), (revision if dash else "")


def _compare(left: str, right: str) -> int:
    left_parts, right_parts = _PARTS.findall(left), _PARTS.findall(right)
    for index in range(max(len(left_parts), len(right_parts))):
        left_text, left_number = left_parts[index] if index < len(left_parts) else ("", "")
        right_text, right_number = right_parts[index] if index < len(right_parts) else ("", "")
        left_order, right_order = _order(left_text), _order(right_text)
        if left_order != right_order:
            return -1 if left_order < right_order else 1
        left_value, right_value = int(left_number or 0), int(right_number or 0)
        if left_value != right_value:
            return -1 if left_value < right_value else 1
    return 0


def _order(text: str) -> list[int]:
    """`~` before the end, the end before letters, letters before the rest."""
    ranks = [-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256 for char in text]
    return [*ranks, 0]
