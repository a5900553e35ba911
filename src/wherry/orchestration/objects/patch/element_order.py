"""The order of a merged list, when the patch and the server each have an order of their own.

In:    merged elements (maps with a merge key, or scalars when the key is ""), the patch's and the server's order.
Out:   the elements: those of the patch in its order, the server's own in theirs, interleaved as the server had them.
Spec:  k8s.io/apimachinery/pkg/util/strategicpatch, normalizeElementOrder and mergeSortedSlice.
Cost:  linear but for one sort: lists may be as long as a request is large.
"""

from collections.abc import Hashable
from typing import Any

Places = dict[Hashable, int]


def identity(item: Any, key: str) -> Hashable:
    """What makes two elements the same one: the value of the merge key, or the scalar itself; None without either."""
    value = item if not key else item.get(key) if isinstance(item, dict) else None
    if isinstance(value, bool):
        return ("boolean", value)  # unlike in Python, true is not 1
    return value if isinstance(value, str | int | float) else None if value is None else repr(value)


def places_of(items: list[Any], key: str) -> Places:
    """The first place of each identity."""
    places: Places = {}
    for place, item in enumerate(items):
        places.setdefault(identity(item, key), place)
    return places


def ordered_like(merged: list[Any], patch_order: list[Any], server_order: list[Any], key: str) -> list[Any]:
    """`merged` in order. An element the patch does not name goes before a named one only if the server had it there."""
    by_patch, by_server = places_of(patch_order, key), places_of(server_order, key)
    patched = [item for item in merged if identity(item, key) in by_patch]
    server_only = [item for item in merged if identity(item, key) not in by_patch]
    right = sorted(patched, key=lambda item: by_patch[identity(item, key)])
    left = sorted(server_only, key=lambda item: by_server.get(identity(item, key), -1))
    out: list[Any] = []
    i = j = 0
    while i < len(left) and j < len(right):
        left_place = by_server.get(identity(left[i], key), -1)
        right_place = by_server.get(identity(right[j], key), -1)
        if 0 <= left_place < right_place:
            out.append(left[i])
            i += 1
        else:
            out.append(right[j])
            j += 1
    return out + left[i:] + right[j:]
