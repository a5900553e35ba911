"""The file of the SQLite store: its schema, how a connection is set up, who may open it, what its errors mean.

In:    a path on a local file system.
Out:   connections ready for use; `Unavailable`, `Broken` or `Unsupported` in place of sqlite3's errors.
Spec:  SQLite 3.35+, WAL with synchronous=FULL: a commit is on disk before it returns.

Tables (`change` is the log; values are stored once):
    change(revision, key, value, created, previous, sum)   value NULL: deletion; previous: revision of the value before,
                                                      or 0; sum: `checksum` of key and value
    live(key, revision)                               the newest change of each key that exists
    state(revision, compacted)                        one row
"""

import fcntl
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry.kit.atomic_file import sync_folder
from wherry.kit.errors import Broken, Unavailable, Unsupported, WherryError
from wherry.orchestration.store.contract import NoSpace

APPLICATION_ID = 0x57485259  # "WHRY", in the file's header
SCHEMA_VERSION = 2
BUSY_TIMEOUT_S = 5.0  # only another tool reading the file can make us wait: the lock keeps writers out
WRITER_CACHE_KIB = 8192
READER_CACHE_KIB = 4096
LOG_SIZE_MAX = 16 << 20  # the write-ahead log is cut back to this after a checkpoint
PAGE_SIZE_MIN = 512  # SQLite's; a database is never smaller
SCHEMA = """
CREATE TABLE change (
    revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, created INTEGER NOT NULL, previous INTEGER NOT NULL,
    sum INTEGER
);
CREATE TABLE live (key TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), revision INTEGER, compacted INTEGER);
INSERT INTO state VALUES (1, 1, 0);
"""
RESTORE = "restore it from a backup: wherry backup restore"
# A full disk shows itself also when the shared-memory file beside the log cannot grow.
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


class DamagedEntry(Broken):
    """A value is not what was written. `named_errors` adds the file and the mend."""


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
    if version < SCHEMA_VERSION:
        _add_checksums(connection)


def checksum(key: str, value: bytes | None) -> int:
    """CRC-32 of the key and the value: finds flipped bits, which SQLite itself does not look for."""
    return zlib.crc32(value or b"", zlib.crc32(key.encode()))


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
    found += [
        f"value of {key!r} at revision {revision} does not match its checksum"
        for revision, key, value, expected in connection.execute("SELECT revision, key, value, sum FROM change")
        if checksum(key, value) != expected
    ]
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
        problems = integrity_errors(copy)
    finally:
        copy.close()
    if problems:
        partial.unlink()
        raise Broken(f"store is damaged ({problems[0]}); {RESTORE}")
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
def locked(path: Path) -> Iterator[None]:
    """Hold `lock` for the block."""
    descriptor = lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def schema_of(connection: sqlite3.Connection) -> int:
    """The schema version of a store, 0 when it is not one."""
    return _number(connection, "PRAGMA user_version") if _number(connection, "PRAGMA application_id") == APPLICATION_ID else 0


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn sqlite3's errors into ours, with the file's name and the mend."""
    try:
        yield
    except sqlite3.Error as error:
        raise _named(error, path) from error
    except DamagedEntry as error:
        raise Broken(f"store {path} is damaged ({error}); {RESTORE}") from error


def _named(error: sqlite3.Error, path: Path) -> WherryError:
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _BROKEN:
        return Broken(f"store {path} is damaged ({error}); {RESTORE}")
    if code in _FULL:
        return no_space(path)
    return Unavailable(f"store {path}: {error}")


def no_space(path: Path) -> NoSpace:
    """What an ordinary write is told on a full disk."""
    return NoSpace(f"store {path}: no space left on the disk; nothing was written, free some space")


def _add_checksums(connection: sqlite3.Connection) -> None:
    """From schema 1 to 2: what is there now is taken as right."""
    connection.create_function("checksum", 2, checksum, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("ALTER TABLE change ADD COLUMN sum INTEGER")
        connection.execute("UPDATE change SET sum = checksum(key, value)")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.execute("ROLLBACK")
        raise


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
