"""A dictionary that never holds more than so many entries: the oldest put goes first."""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """At most `size` entries."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[Key, Value] = {}

    def get(self, key: Key) -> Value | None:
        """What was put, unless pushed out since."""
        return self._entries.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Remember `value`; replaces."""
        if key not in self._entries and len(self._entries) >= self._size:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = value

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
