"""Copies of the store, made by themselves and kept for a while; and the way back.

In:    an open `SqliteStore` and a folder; for the way back a copy and the place of the database.
Out:   `store-<time>.db` files, each a whole, checked store of one moment; older ones go.
Spec:  the way back is etcdctl's `snapshot restore --bump-revision --mark-compacted`: revisions go on from far above any that
       was handed out since the copy, so no client takes an old object for a new one.
Never: replaces a good copy by a damaged one; deletes a file it did not name.
"""

import asyncio
import logging
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import disk_usage

from wherry.kit import atomic_file
from wherry.kit.clock import Clock
from wherry.kit.errors import Broken, Invalid, Unavailable
from wherry.orchestration.store import sqlite_file
from wherry.orchestration.store.sqlite import SqliteStore

NAME = re.compile(r"store-(\d{8}T\d{6}Z)\.db")
TIME_FORMAT = "%Y%m%dT%H%M%SZ"
FIRST_AFTER_S = 300.0  # a cluster that lives for a test run needs none
DISK_SHARE_FREE = 4  # a copy is made only while this many times its size is free: it must not fill the disk
REVISION_BUMP = 1_000_000_000  # etcdctl's advice: more than could have been written since the copy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backup:
    """One copy. `made_at` in UTC, `size_bytes` on disk."""

    path: Path
    made_at: datetime
    size_bytes: int


def listed(folder: Path) -> tuple[Backup, ...]:
    """The copies in `folder`, oldest first; other files are left out."""
    found = []
    for path in folder.glob("store-*.db") if folder.is_dir() else ():
        if name := NAME.fullmatch(path.name):
            made_at = datetime.strptime(name[1], TIME_FORMAT).replace(tzinfo=UTC)
            found.append(Backup(path, made_at, path.stat().st_size))
    return tuple(sorted(found, key=lambda backup: backup.made_at))


def outdated(backups: Iterable[Backup], kept: int) -> tuple[Backup, ...]:
    """Those that go when only the newest `kept` stay."""
    ordered = sorted(backups, key=lambda backup: backup.made_at)
    return tuple(ordered[: max(0, len(ordered) - kept)])


def check(path: Path) -> None:
    """Return when `path` is a sound store. Raise `Broken` with what is wrong, `Invalid` when there is no such file."""
    if not path.is_file():
        raise Invalid(f"no backup at {path}; see: wherry backup list")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        with sqlite_file.named_errors(path):
            if sqlite_file.schema_of(connection) != sqlite_file.SCHEMA_VERSION:
                raise Broken(f"{path} is not a store of this version of Wherry")
            problems = sqlite_file.integrity_errors(connection)
    finally:
        connection.close()
    if problems:
        raise Broken(f"backup {path} is damaged: {problems[0]}" + (f" and {len(problems) - 1} more" if problems[1:] else ""))


def copy(database: Path, target: Path) -> None:
    """A checked copy of `database` at `target`, also while a server has it open. Raise `Unavailable` or `Broken`."""
    if not database.exists():
        raise Unavailable(f"no store at {database}; start the cluster once with: wherry up")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with sqlite_file.named_errors(database):
        connection = sqlite_file.connect(database, read_only=True)
        try:
            sqlite_file.copy_to(connection, target)
        finally:
            connection.close()


def restore(backup: Path, database: Path, now: datetime) -> Path | None:
    """Put `backup` in the place of `database`; return where the former one went, if there was one.

    Raise `Unavailable` while a server has the store open, `Broken` when the copy is damaged; nothing changes then.
    """
    check(backup)
    database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with sqlite_file.locked(database):
        fresh = database.with_name(f"{database.name}.restoring")
        fresh.write_bytes(backup.read_bytes())
        fresh.chmod(0o600)
        connection = sqlite3.connect(fresh)
        try:
            with sqlite_file.named_errors(fresh):
                connection.execute("UPDATE state SET revision = revision + ?", (REVISION_BUMP,))
                connection.execute("UPDATE state SET compacted = revision")
                connection.commit()
        finally:
            connection.close()
        former = _moved_away(database, now) if database.exists() else None
        fresh.replace(database)
        atomic_file.sync_folder(database.parent)
    return former


def _moved_away(database: Path, now: datetime) -> Path:
    """The database and its log under a name of their own: a person may still want to look into it."""
    former = database.with_name(f"{database.name}.before-restore-{now.strftime(TIME_FORMAT)}")
    for ending in ("-wal", "-shm"):
        log_file = database.with_name(database.name + ending)
        if log_file.exists():
            log_file.replace(former.with_name(former.name + ending))
    return database.replace(former)


async def keep_backed_up(store: SqliteStore, folder: Path, clock: Clock, *, period_s: float, kept: int) -> None:
    """A copy every `period_s` when something changed, for ever. What cannot be copied now is copied next time."""
    last_revision = 0
    wait_s = min(FIRST_AFTER_S, period_s)
    while True:
        await asyncio.sleep(wait_s)
        wait_s = period_s
        revision = await store.revision()
        if revision != last_revision and await _backed_up(store, folder, clock.now(), kept):
            last_revision = revision


async def _backed_up(store: SqliteStore, folder: Path, now: datetime, kept: int) -> bool:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if disk_usage(folder).free < DISK_SHARE_FREE * store.size_bytes():
        log.warning("no backup of the store: less than %d times its size is free on the disk of %s", DISK_SHARE_FREE, folder)
        return False
    target = folder / f"store-{now.strftime(TIME_FORMAT)}.db"
    try:
        await store.backup(target)
    except (Unavailable, Broken) as error:
        log.error("no backup of the store: %s", error)
        target.unlink(missing_ok=True)
        return False
    for backup in outdated(listed(folder), kept):
        backup.path.unlink(missing_ok=True)
    log.info("store backed up to %s", target)
    return True
