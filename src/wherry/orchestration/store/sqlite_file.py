"""The file of the SQLite store: its schema, how a connection is set up, who may open it, what its errors mean.

In:    a path on a local file system.
Out:   connections ready for use; `Unavailable`, `Broken` or `Unsupported` in place of sqlite3's errors.
Spec:  SQLite 3.35+, WAL with synchronous=FULL: a commit is on disk before it returns.

Tables (`change` is the log; values are stored once):
    change(revision, key, value, created, previous)   value NULL: deletion; previous: revision of the value before, or 0
    live(key, revision)                               the newest change of each key that exists
    state(revision, compacted)                        one row
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.kit.atomic_file import sync_folder
from wherry.kit.errors import Broken, Unavailable, Unsupported, WherryError

APPLICATION_ID = 0x57485259  # "WHRY", in the file's header
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0  # only another tool reading the file can make us wait: the lock keeps writers out
WRITER_CACHE_KIB = 8192
READER_CACHE_KIB = 4096
LOG_SIZE_MAX = 64 << 20  # the write-ahead log is cut back to this after a checkpoint
PAGE_SIZE_MIN = 512  # SQLite's; a database is never smaller
SCHEMA = """
CREATE TABLE change (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, created INTEGER NOT NULL, previous INTEGER NOT NULL
);
CREATE TABLE live (key TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), revision INTEGER, compacted INTEGER);
INSERT INTO state VALUES (1, 1, 0);
"""
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit mode, to be used by one thread at a time."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB if read_only else WRITER_CACHE_KIB}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_SIZE_MAX}")
        if read_only:
            connection.execute("PRAGMA query_only = 1")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the schema in a new file; refuse a file that is not ours or is newer than this program."""
    if 0 < path.stat().st_size < PAGE_SIZE_MIN:  # SQLite would take it for an empty file and write over it
        raise Broken(f"{path} is not a Wherry store; move it away or use another data directory")
    version = _number(connection, "PRAGMA user_version")
    application = _number(connection, "PRAGMA application_id")
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    if not version and not application and not tables:
        _create(connection, path)
        return
    if application != APPLICATION_ID:
        raise Broken(f"{path} is not a Wherry store; move it away or use another data directory")
    if version > SCHEMA_VERSION:
        raise Unsupported(f"{path} has store schema {version}, this program knows up to {SCHEMA_VERSION}: upgrade Wherry")
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise Unsupported(f"{path} is on a file system without shared memory maps; use a local disk")


def integrity_errors(connection: sqlite3.Connection) -> list[str]:
    """What SQLite and our own rules find wrong; empty when all is well. Reads the whole file."""
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    for text, query in (
        ("live keys without their change", "SELECT count(*) FROM live LEFT JOIN change USING (revision) "
         "WHERE change.value IS NULL OR change.key != live.key"),
        ("changes newer than the store's revision", "SELECT count(*) FROM change, state "
         "WHERE change.revision > state.revision"),
    ):
        if count := _number(connection, query):
            found.append(f"{count} {text}")
    return found


def copy_to(connection: sqlite3.Connection, target: Path) -> None:
    """A whole copy of one moment, complete and on disk under its name when this returns; replaces what was there."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    copy = sqlite3.connect(partial)
    try:
        partial.chmod(0o600)
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    finally:
        copy.close()
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    sync_folder(target.parent)


def lock(path: Path) -> int:
    """An exclusive lock beside the file, held until the descriptor is closed. Raises `Unavailable`."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"store {path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Unavailable(f"store {path} is in use by another process") from error
    return descriptor


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors into ours, with the file's name and the mend."""
    try:
        yield
    except sqlite3.Error as error:
        raise _named(error, path) from error


def _named(error: sqlite3.Error, path: Path) -> WherryError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BROKEN:
        return Broken(f"store {path} is damaged ({error}); restore it from a backup")
    if code == sqlite3.SQLITE_FULL:
        return Unavailable(f"store {path}: no space left on the disk; nothing was written, free some space")
    return Unavailable(f"store {path}: {error}")


def _create(connection: sqlite3.Connection, path: Path) -> None:
    path.chmod(0o600)  # before the first byte is in it; the log beside it takes over the mode
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise Unsupported(f"{path} is on a file system without shared memory maps; use a local disk")
    connection.executescript(
        f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
    )
    sync_folder(path.parent)  # the names of the file and its log must outlive a power cut, not only their contents


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
