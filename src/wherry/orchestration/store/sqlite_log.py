"""Reading and writing the SQLite store, one transaction a call. Synchronous; `sqlite.py` chooses the thread.

In:    a connection and the arguments of the contract's methods.
Out:   the contract's values; a group of writes gives one result each, in order.
Never: holds state between calls. Raises sqlite3's own errors (`sqlite_file.named_errors` renames them).
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from wherry.kit.errors import WherryError
from wherry.orchestration.store.contract import Change, Compacted, Entry, FutureRevision, Page, RevisionMismatch
from wherry.orchestration.store.keys import end_of_prefix
from wherry.orchestration.store.sqlite_file import DamagedEntry, checksum

COMPACT_STEP = 2_000  # revisions in one transaction: 5-10 ms, so that writers wait no longer than that
VACUUM_PAGES = 1_000  # free pages given back to the file system in one transaction: about 10 ms
FREE_PAGES_KEPT = 256  # 1 MiB: the next writes need some
_LAST_KEY = "\U0010ffff" * 8
_BEFORE = "SELECT live.revision, change.created, change.value, change.sum FROM live JOIN change USING (revision) WHERE live.key = ?"


V = TypeVar("V", bytes, bytes | None)


@dataclass(frozen=True, slots=True)
class Write:
    """Set `key` to `value`, or remove it when `value` is None, if it is at revision `expected`."""

    key: str
    value: bytes | None
    expected: int
    frees: bool = False  # a step of a deletion, which may use the reserve


@dataclass(frozen=True, slots=True)
class Committed:
    """What one group came to. `results` are new revisions or refusals, one for each write."""

    results: tuple[int | WherryError, ...]
    changes: tuple[Change, ...]


def commit(connection: sqlite3.Connection, writes: Sequence[Write]) -> Committed:
    """All writes in one transaction, each checked against the ones before it. On any error nothing is written."""
    results: list[int | WherryError] = []
    changes: list[Change] = []
    with _transaction(connection, "BEGIN IMMEDIATE"):
        newest, _ = _state(connection)
        for write in writes:
            outcome = _apply(connection, write, newest + 1)
            if isinstance(outcome, Change):
                newest += 1
                changes.append(outcome)
                results.append(newest)
            else:
                results.append(outcome)
        if changes:
            connection.execute("UPDATE state SET revision = ?", (newest,))
    return Committed(tuple(results), tuple(changes))


def get(connection: sqlite3.Connection, key: str) -> Entry | None:
    """The newest value."""
    row = connection.execute(_BEFORE, (key,)).fetchone()
    return Entry(key, _sound(key, row[2], row[3], row[0]), row[1], row[0]) if row else None


def list_prefix(connection: sqlite3.Connection, prefix: str, *, after: str, limit: int, revision: int) -> Page:
    """Entries under `prefix` at `revision` (0: newest)."""
    with _transaction(connection, "BEGIN"):
        newest, compacted = _state(connection)
        at = revision or newest
        if at > newest:
            raise FutureRevision(f"revision {at} has not happened yet, newest is {newest}")
        if at < compacted:
            raise Compacted(at, compacted)
        if at == newest:
            return _newest_page(connection, prefix, after, limit, at)
        return _older_page(connection, prefix, after, limit, at)


def changes_after(
    connection: sqlite3.Connection, prefix: str, *, after: int, until: int, limit: int
) -> tuple[Change, ...]:
    """At most `limit` changes under `prefix` with after < revision <= until, in order."""
    low, high = prefix, end_of_prefix(prefix) or _LAST_KEY
    with _transaction(connection, "BEGIN"):
        _, compacted = _state(connection)
        if after < compacted:
            raise Compacted(after, compacted)
        rows = connection.execute(
            "SELECT c.key, c.value, c.sum, p.value, p.sum, c.revision, c.created FROM change c "
            "LEFT JOIN change p ON p.revision = c.previous "
            "WHERE c.revision > ? AND c.revision <= ? AND c.key >= ? AND c.key < ? ORDER BY c.revision LIMIT ?",
            (after, until, low, high, limit),
        )
        return tuple(_change(*row) for row in rows)


def compact_step(connection: sqlite3.Connection, target: int) -> bool:
    """Forget up to `COMPACT_STEP` more revisions towards `target`; True when it is reached."""
    with _transaction(connection, "BEGIN IMMEDIATE"):
        newest, compacted = _state(connection)
        if target > newest:
            raise FutureRevision(f"revision {target} has not happened yet, newest is {newest}")
        if target <= compacted:
            return True
        step = min(target, compacted + COMPACT_STEP)
        connection.execute(
            "DELETE FROM change WHERE revision IN "
            "(SELECT previous FROM change WHERE revision > ? AND revision <= ? AND previous > 0)",
            (compacted, step),
        )
        connection.execute(
            "DELETE FROM change WHERE revision > ? AND revision <= ? AND value IS NULL", (compacted, step)
        )
        connection.execute("UPDATE state SET compacted = ?", (step,))
    return step == target


def give_back_step(connection: sqlite3.Connection) -> bool:
    """Return some free pages to the file system; True when no more than `FREE_PAGES_KEPT` are left."""
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free <= FREE_PAGES_KEPT:
        return True
    connection.execute(f"PRAGMA incremental_vacuum({min(VACUUM_PAGES, free - FREE_PAGES_KEPT)})").fetchall()
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # the file itself shrinks when the log is written into it
    return False


def newest_revision(connection: sqlite3.Connection) -> int:
    """The revision of the last commit."""
    return _state(connection)[0]


def _state(connection: sqlite3.Connection) -> tuple[int, int]:
    revision, compacted = connection.execute("SELECT revision, compacted FROM state").fetchone()
    return revision, compacted


def _apply(connection: sqlite3.Connection, write: Write, revision: int) -> Change | RevisionMismatch:
    if write.value is not None and not write.expected and _is_added(connection, write.key, revision):
        _log(connection, write, revision, revision, 0)
        return Change(write.key, write.value, None, revision, revision)
    row = connection.execute(_BEFORE, (write.key,)).fetchone()
    found, created, previous, previous_sum = row or (0, revision, None, None)
    if found != write.expected or not found:
        return RevisionMismatch(write.key, write.expected, found)
    _sound(write.key, previous, previous_sum, found)
    _log(connection, write, revision, created, found)
    if write.value is None:
        connection.execute("DELETE FROM live WHERE key = ?", (write.key,))
    else:
        connection.execute("UPDATE live SET revision = ? WHERE key = ?", (revision, write.key))
    return Change(write.key, write.value, previous, revision, created)


def _is_added(connection: sqlite3.Connection, key: str, revision: int) -> bool:
    """Make `key` live, unless it is; one statement where most writes of a busy cluster would need two."""
    return connection.execute("INSERT OR IGNORE INTO live (key, revision) VALUES (?, ?)", (key, revision)).rowcount > 0


def _log(connection: sqlite3.Connection, write: Write, revision: int, created: int, previous: int) -> None:
    connection.execute(
        "INSERT INTO change (revision, key, value, created, previous, sum) VALUES (?, ?, ?, ?, ?, ?)",
        (revision, write.key, write.value, created, previous, checksum(write.key, write.value)),
    )


def _newest_page(connection: sqlite3.Connection, prefix: str, after: str, limit: int, at: int) -> Page:
    bounds = (prefix, end_of_prefix(prefix) or _LAST_KEY, after)
    rows = connection.execute(
        "SELECT live.key, change.value, change.sum, change.created, live.revision FROM live JOIN change USING (revision) "
        "WHERE live.key >= ? AND live.key < ? AND live.key > ? ORDER BY live.key LIMIT ?",
        (*bounds, limit or -1),
    )
    entries = tuple(_entry(*row) for row in rows)
    if not limit or len(entries) < limit:
        return Page(entries, at, more=False, remaining=0)
    (remaining,) = connection.execute(
        "SELECT count(*) FROM live WHERE key > ? AND key < ?", (entries[-1].key, bounds[1])
    ).fetchone()
    return Page(entries, at, more=remaining > 0, remaining=remaining)


def _older_page(connection: sqlite3.Connection, prefix: str, after: str, limit: int, at: int) -> Page:
    """Keys untouched since `at` are as they are now; for the others the first later change tells what was before."""
    bounds = (prefix, end_of_prefix(prefix) or _LAST_KEY, after)
    found = dict(
        connection.execute(
            "SELECT key, revision FROM live WHERE key >= ? AND key < ? AND key > ? AND revision <= ?", (*bounds, at)
        ).fetchall()
    )
    for key, _, previous in connection.execute(
        "SELECT key, min(revision), previous FROM change WHERE revision > ? AND key >= ? AND key < ? AND key > ? "
        "GROUP BY key",
        (at, *bounds),
    ):
        if previous:
            found[key] = previous
    keys = sorted(found)
    shown = keys[:limit] if limit else keys
    entries = tuple(_entry_at(connection, found[key]) for key in shown)
    return Page(entries, at, more=len(shown) < len(keys), remaining=len(keys) - len(shown))


def _entry_at(connection: sqlite3.Connection, revision: int) -> Entry:
    row = connection.execute("SELECT key, value, sum, created, revision FROM change WHERE revision = ?", (revision,))
    return _entry(*row.fetchone())


def _entry(key: str, value: bytes, found_sum: int, created: int, revision: int) -> Entry:
    return Entry(key, _sound(key, value, found_sum, revision), created, revision)


def _change(
    key: str, value: bytes | None, found_sum: int, previous: bytes | None, previous_sum: int | None, revision: int, created: int,
) -> Change:  # fmt: skip
    _sound(key, value, found_sum, revision)
    if previous is not None:
        _sound(key, previous, previous_sum, revision)
    return Change(key, value, previous, revision, created)


def _sound(key: str, value: V, found_sum: int | None, revision: int) -> V:
    """`value`, when it is what was written. Raise `DamagedEntry`."""
    if checksum(key, value) != found_sum:
        raise DamagedEntry(f"value of {key!r} at revision {revision} does not match its checksum")
    return value


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    done = False
    try:
        yield
        connection.execute("COMMIT")
        done = True
    finally:
        if not done and connection.in_transaction:
            connection.execute("ROLLBACK")
