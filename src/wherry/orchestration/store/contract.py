"""The store: revisioned bytes by key, with compare-and-swap and watch. The contract is etcd's, cut to what we use.

In:    keys such as `/pods/default/web-0` (UTF-8, no NUL), values as bytes.
Out:   values with the revision of their last change; a watch of every later change, in revision order.
Spec:  etcd v3 API guarantees (KV, revisions, watch, compaction).

Promises every implementation keeps (suite: `wherry.testing.store_suite`):
- one global revision, starting at 1, grows by one for each transaction that changes something;
- a write returns only when it is on disk (`memory` excepted);
- writes are linear: a read begun after a write returned sees it;
- a watch from revision N delivers every change after N once, in order, or raises `Compacted`;
- a slow watcher is cut off with `SlowWatcher`, never waited for, never skips a change.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from wherry.kit.errors import Conflict, Expired, Unavailable


class RevisionMismatch(Conflict):
    """The key is not at the expected revision. `found` is its revision now, 0 when absent."""

    def __init__(self, key: str, expected: int, found: int) -> None:
        self.key, self.expected, self.found = key, expected, found
        super().__init__(f"key {key!r}: expected revision {expected}, found {found}")


class Compacted(Expired):
    """The revision asked for has been compacted. `oldest` is the first that can still be read."""

    def __init__(self, asked: int, oldest: int) -> None:
        self.asked, self.oldest = asked, oldest
        super().__init__(f"revision {asked} has been compacted, oldest is {oldest}")


class FutureRevision(Unavailable):
    """The revision asked for has not happened yet."""


class NoSpace(Unavailable):
    """There is no room for this write; nothing was written. Deletions are still taken."""


class SlowWatcher(Unavailable):
    """The watcher did not read fast enough and was cut off; list again and watch from there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A live key. `created` and `modified` are revisions."""

    key: str
    value: bytes
    created: int
    modified: int


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of one range at one revision, in key order. `more` tells whether the limit cut it; `remaining` how many are left."""

    entries: tuple[Entry, ...]
    revision: int
    more: bool
    remaining: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `value` is None for a deletion; `previous` is the value before, None for a creation."""

    key: str
    value: bytes | None
    previous: bytes | None
    revision: int
    created: int


class Store(Protocol):
    """See the module docstring for the promises."""

    async def get(self, key: str) -> Entry | None:
        """The newest value, or None."""

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Entries whose key starts with `prefix` and sorts after `after`; at `revision` (0: newest).

        Raises `Compacted` or `FutureRevision`.
        """

    async def put(self, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
        """Set `key` if its `modified` is `expected` (0: must not exist); return the new revision.

        `frees` says that the write is a step of a deletion: like `delete` it may use the space kept for that.
        Raises `RevisionMismatch` or `NoSpace`; nothing changes then.
        """

    async def delete(self, key: str, *, expected: int) -> int:
        """Remove `key` if its `modified` is `expected`; return the new revision. Raises `RevisionMismatch`."""

    def watch(self, prefix: str, *, after: int) -> AsyncGenerator[Change, None]:
        """Every change of keys under `prefix` with a revision greater than `after`, for ever, in order.

        Raises `Compacted` at once when `after` is too old, `SlowWatcher` later. Closing the iterator ends the watch.
        """

    async def revision(self) -> int:
        """The newest revision, confirmed with the engine (a linear read)."""

    async def check_space(self) -> None:
        """Return when there is room for ordinary writes. Raise `NoSpace` when only deletions are taken."""

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`; live keys stay. Idempotent."""

    async def close(self) -> None:
        """Release files and threads; pending writes finish first."""
