"""The store in one SQLite file: the default engine. One writer thread with group commit, a few reader threads.

In:    a path; the calls of `contract.Store`, from one event loop.
Out:   the contract's promises. A write returns after the commit that holds it is on disk.
Order: writes that arrive in one turn of the loop, or while a commit is under way, go into the next commit together, in the
       order they came.
Space: a reserve of disk blocks is kept for deletions; while it is not whole, ordinary writes are refused with `NoSpace`.
Never: shares the file: a second process is refused with `Unavailable`.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from wherry.kit.errors import Unavailable, WherryError
from wherry.orchestration.store import sqlite_file, sqlite_log
from wherry.orchestration.store.contract import Change, Entry, NoSpace, Page, RevisionMismatch
from wherry.orchestration.store.keys import checked_key
from wherry.orchestration.store.reserve import Reserve
from wherry.orchestration.store.sqlite_log import Committed, Write
from wherry.orchestration.store.watchers import BACKLOG_MAX, Watchers

READERS = 2  # a long list must not hold up a get
GROUP_MAX = 256  # writes in one commit; larger groups gain nothing (bench/store_rates.py)
GROUP_BYTES_MAX = 8 << 20
FREE_BYTES_MIN = 512 << 10  # with less on the disk the next larger write is refused: say so before
REPLAY_PAGE = 500  # changes read from disk at a time for a watch that starts in the past

T = TypeVar("T")
Group = list[tuple[Write, "asyncio.Future[int]"]]


class SqliteStore:
    """See `contract.Store`. Make it with `SqliteStore.open`."""

    def __init__(self, path: Path, *, backlog_max: int = BACKLOG_MAX) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._idle_readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._connections: list[sqlite3.Connection] = []
        self._lock = -1
        self._reserve: Reserve | None = None  # made when the file is open
        self._waiting: Group = []
        self._is_committing = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._published = 0  # all changes up to here have been given to the watchers
        self._seen = 0  # newest revision any call has returned: `revision()` must not go back behind it
        self._watchers = Watchers(backlog_max)
        self._closed = False

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, backlog_max: int = BACKLOG_MAX) -> "SqliteStore":
        """Open or create the file. Raises `Unavailable` (in use, no space), `Broken`, `Unsupported` (newer schema)."""
        store = cls(Path(path), backlog_max=backlog_max)
        opened = False
        try:
            store._published = store._seen = await store._loop.run_in_executor(store._writer, store._connect)
            opened = True
        finally:
            if not opened:
                await store.close()
        return store

    async def get(self, key: str) -> Entry | None:
        entry = await self._read(partial(sqlite_log.get, key=checked_key(key)))
        if entry is not None:
            self._seen = max(self._seen, entry.modified)
        return entry

    async def list(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        page = await self._read(
            partial(sqlite_log.list_prefix, prefix=prefix, after=after, limit=limit, revision=revision)
        )
        self._seen = max(self._seen, page.revision)
        return page

    async def put(self, key: str, value: bytes, *, expected: int, frees: bool = False) -> int:
        return await self._write(Write(checked_key(key), bytes(value), expected, frees))

    async def delete(self, key: str, *, expected: int) -> int:
        return await self._write(Write(checked_key(key), None, expected, frees=True))

    async def watch(self, prefix: str, *, after: int) -> AsyncGenerator[Change, None]:
        self._check_open()
        at = after
        while at < (until := self._published):
            page = await self._read(
                partial(sqlite_log.changes_after, prefix=prefix, after=at, until=until, limit=REPLAY_PAGE)
            )
            for change in page:
                yield change
            at = page[-1].revision if len(page) == REPLAY_PAGE else until
        # No await between the last look at `_published` and here: the watcher misses nothing and sees nothing twice.
        watcher = self._watchers.subscribe(prefix)
        try:
            async for change in watcher.changes():
                if change.revision > after:
                    yield change
        finally:
            self._watchers.unsubscribe(watcher)

    async def revision(self) -> int:
        self._check_open()
        return self._seen

    async def check_space(self) -> None:
        self._check_open()
        free_bytes = shutil.disk_usage(self._path.parent).free
        if free_bytes < FREE_BYTES_MIN or not await self._loop.run_in_executor(self._writer, self._has_room):
            raise sqlite_file.no_space(self._path)

    async def compact(self, revision: int) -> None:
        """See the contract. Space that history took goes back to the file system."""
        for step in (partial(sqlite_log.compact_step, target=revision), sqlite_log.give_back_step):
            while not await self._loop.run_in_executor(self._writer, self._freeing, step):
                self._check_open()

    async def integrity_errors(self) -> tuple[str, ...]:
        """What is wrong with the file; empty when all is well. Reads all of it, on a reader thread."""
        return tuple(await self._read(sqlite_file.integrity_errors))

    async def backup(self, target: str | os.PathLike[str]) -> None:
        """A sound copy of one moment that can be opened as a store; writes go on meanwhile. Replaces `target` atomically.

        Raises `Broken` when what is stored is damaged; there is no copy then.
        """
        await self._read(partial(sqlite_file.copy_to, target=Path(target)))

    def size_bytes(self) -> int:
        """What the database file takes on disk, without its log."""
        return self._path.stat().st_size

    async def close(self) -> None:
        """Let writes under way finish, then give back threads, files and the lock. Idempotent."""
        self._closed = True
        await self._quiet.wait()
        self._watchers.stop(Unavailable(f"store {self._path} is closed"))
        await asyncio.to_thread(self._disconnect)

    def _connect(self) -> int:
        with sqlite_file.named_errors(self._path):
            self._lock = sqlite_file.lock(self._path)
            writer = sqlite_file.connect(self._path, read_only=False)
            self._connections.append(writer)
            sqlite_file.prepare(writer, self._path)
            for _ in range(READERS):
                reader = sqlite_file.connect(self._path, read_only=True)
                self._connections.append(reader)
                self._idle_readers.put(reader)
            self._reserve = Reserve(self._path.with_name(f"{self._path.name}.reserve"))
            self._reserve.fill()
            return sqlite_log.newest_revision(writer)

    def _disconnect(self) -> None:
        self._readers.shutdown()
        self._writer.shutdown()
        while self._connections:
            self._connections.pop().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        with sqlite_file.named_errors(self._path):
            return await self._loop.run_in_executor(self._readers, self._with_reader, query)

    def _with_reader(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle_readers.get()  # as many as threads: never waits
        try:
            return query(connection)
        finally:
            self._idle_readers.put(connection)

    async def _write(self, write: Write) -> int:
        self._check_open()
        done: asyncio.Future[int] = self._loop.create_future()
        self._waiting.append((write, done))
        self._quiet.clear()
        if not self._is_committing:
            self._is_committing = True
            self._loop.call_soon(self._start_commit)  # whoever else writes in this turn shares the commit
        return await done

    def _start_commit(self) -> None:
        """Send the next group to the writer thread. A caller that has gone away still gets its write done."""
        group = self._next_group()
        self._is_committing = bool(group)
        if not group:
            self._quiet.set()
            return
        committed = self._loop.run_in_executor(self._writer, self._commit, tuple(write for write, _ in group))
        committed.add_done_callback(lambda done: self._finish_commit(group, done.result()))

    def _next_group(self) -> Group:
        size = count = 0
        for write, _ in self._waiting[:GROUP_MAX]:
            size += len(write.value or b"")
            if count and size > GROUP_BYTES_MAX:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _has_room(self) -> bool:
        assert self._reserve is not None
        return self._reserve.fill()

    def _commit(self, writes: tuple[Write, ...]) -> Committed | WherryError:
        """All writes; on a full disk those that free something, with the others refused."""
        try:
            if self._has_room():
                return self._on_writer(partial(sqlite_log.commit, writes=writes))
        except NoSpace:
            pass  # the reserve is there for what follows
        except WherryError as error:
            return error
        try:
            freed = self._freeing(partial(sqlite_log.commit, writes=[write for write in writes if write.frees]))
        except WherryError as error:
            return error
        results = iter(freed.results)
        return Committed(
            tuple(next(results) if write.frees else sqlite_file.no_space(self._path) for write in writes), freed.changes
        )

    def _freeing(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """What `step` returns; it may use up the reserve."""
        assert self._reserve is not None
        while True:
            try:
                return self._on_writer(step)
            except NoSpace:
                if not self._reserve.release():
                    raise

    def _on_writer(self, step: Callable[[sqlite3.Connection], T]) -> T:
        with sqlite_file.named_errors(self._path):
            return step(self._connections[0])

    def _finish_commit(self, group: Group, committed: Committed | WherryError) -> None:
        """On the loop: watchers first, then the writers, so that `revision()` covers what a writer was told."""
        if isinstance(committed, Committed):
            if committed.changes:
                self._published = committed.changes[-1].revision
                self._seen = max(self._seen, self._published)
                self._watchers.publish(committed.changes)
            results: tuple[int | WherryError, ...] = committed.results
        else:
            results = (committed,) * len(group)
        for (_, done), result in zip(group, results, strict=True):
            if done.done():
                continue
            if isinstance(result, WherryError):
                done.set_exception(result if isinstance(result, RevisionMismatch) else type(result)(str(result)))
            else:
                done.set_result(result)
        self._loop.call_soon(self._start_commit)

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"store {self._path} is closed")
