"""WATCH: every change after a revision, in order, once; bookmarks; initial events; ERROR when history is gone.

In:    a `Served`, the options, and an `Encoder` that turns entries into the form the client accepts.
Out:   chunks of newline-ended JSON events, several events a chunk when they come fast.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes and #streaming-lists
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from typing import Protocol

from wherry.kit.errors import TimedOut
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.registry.cache import Cached, CacheEvent, ResourceCache, Watcher
from wherry.orchestration.apiserver.registry.feed import ROOT, Registry, closing
from wherry.orchestration.apiserver.registry.served import Served
from wherry.orchestration.apiserver.verbs.options import ListOptions, Matches, invalid, matcher
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.store.contract import Compacted

CHUNK_BYTES_MAX = 256 * 1024
CLOCK_GRAIN_S = 0.001  # uvloop's timers may ring up to half of one early


class Encoder(Protocol):
    """Makes the bytes of events."""

    def event(self, kind: str, cached: Cached) -> bytes:
        """ADDED, MODIFIED or DELETED."""

    def bookmark(self, revision: int, *, ends_initial_events: bool) -> bytes:
        """BOOKMARK."""

    def error(self, status: Object) -> bytes:
        """ERROR."""


def check(options: ListOptions) -> None:
    """Raise `ApiError` 422 for options upstream refuses."""
    if options.initial_events is None:
        if options.match:
            raise invalid("resourceVersionMatch", "FieldValueForbidden",
                          "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        return
    if options.match != "NotOlderThan":
        raise invalid("resourceVersionMatch", "FieldValueForbidden",
                      "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")


class WatchStream:
    """The body of a watch: what was before, then what comes. It follows the cache from the moment it is made; close it to stop."""

    def __init__(self, cache: ResourceCache, past: AsyncGenerator[bytes, None], live: "Live") -> None:
        self._cache = cache
        self._past: AsyncGenerator[bytes, None] | None = past
        self._live = live

    def __aiter__(self) -> "WatchStream":
        return self

    async def __anext__(self) -> bytes:
        has_ended = True
        try:
            chunk = await self._next()
            has_ended = not chunk
        finally:
            if has_ended:
                self._end()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """End the watch. Idempotent."""
        self._end()
        if self._past is not None:
            await self._past.aclose()

    async def _next(self) -> bytes:
        if self._past is not None:
            async for chunk in self._past:
                return chunk
            self._past = None
        return await self._live.chunk()

    def _end(self) -> None:
        self._cache.watchers.pop(self._live.watcher, None)
        self._live.close()


async def watch(
    registry: Registry, served: Served, namespace: str, options: ListOptions, encoder: Encoder, *,
    timeout_s: float, bookmark_period_s: float,
) -> WatchStream:
    """Ends after the timeout, or with an ERROR event when changes were missed."""
    asked = options.revision
    if asked is None:
        await registry.fresh()
    elif options.initial_events and asked > registry.revision:
        try:
            await registry.reached(asked)
        except TimedOut as error:
            raise errors.too_large_revision(asked, registry.revision) from error
    watcher = Watcher()
    served.cache.watchers[watcher] = None
    wants_initial = options.initial_events if options.initial_events is not None else not asked
    # No await from here to the end: what is in the cache now and what the watcher gets make one history.
    initial = list(served.cache.select(namespace)) if wants_initial else None
    start = registry.revision
    matches = matcher(served, namespace, options)
    past = _past(registry, served, options, matches, encoder, watcher, start, initial)
    after = start if initial is not None else max(start, asked or 0)
    live = Live(registry, watcher, after, matches, encoder, timeout_s, bookmark_period_s if options.bookmarks else 0.0)
    return WatchStream(served.cache, past, live)


async def _past(
    registry: Registry, served: Served, options: ListOptions, matches: Matches | None, encoder: Encoder, watcher: Watcher,
    start: int, initial: list[Cached] | None,
) -> AsyncGenerator[bytes, None]:
    """`start` is the revision the watcher follows from; `initial` what was there then, when it is to be sent."""
    asked = options.revision
    if initial is not None:
        selected = (cached for cached in initial if matches is None or matches(cached))
        for chunk in _chunks(encoder.event("ADDED", cached) for cached in selected):
            yield chunk
        initial.clear()
    elif asked:
        try:
            async for chunk in _missed(registry, served, asked, start, matches, encoder):
                yield chunk
        except Compacted as error:
            watcher.cut()
            yield encoder.error(errors.too_old(error.asked, error.oldest).status())
            return
        start = max(start, asked)
    if options.initial_events and options.bookmarks:
        yield encoder.bookmark(start, ends_initial_events=True)


def default_timeout_s(asked_s: float | None, minimum_s: float) -> float:
    """What the client asked for, else between one and two times the minimum, so that watches do not end together."""
    return asked_s if asked_s else minimum_s * random.uniform(1.0, 2.0)


async def _missed(
    registry: Registry, served: Served, after: int, until: int, matches: Matches | None, encoder: Encoder,
) -> AsyncIterator[bytes]:
    """The changes in (after, until], from memory or else from the store's history."""
    recent = served.cache.recent_after(after)
    if recent is None:
        recent = await _history(registry, served, after, until)
    for chunk in _chunks(_encoded((e for e in recent if e.revision <= until), matches, encoder)):
        yield chunk


async def _history(registry: Registry, served: Served, after: int, until: int) -> list[CacheEvent]:
    cache = served.cache
    events: list[CacheEvent] = []
    if cache.revision <= after or until <= after:
        return events  # nothing of this resource changed since, so nothing was missed
    # All keys are followed, because only then is there surely a change at `until` to stop at.
    async with closing(registry.store.watch(ROOT, after=after)) as history:
        async for change in history:
            if change.revision <= until and change.key.startswith(cache.prefix):
                new, old = registry.open_change(cache, change)
                events.append(CacheEvent(change.revision, new, old))
            if change.revision >= until:
                break
    return events


class Live:
    """What comes after the revision `after`, until the timeout or a cut. A wake-up takes all that waits."""

    def __init__(
        self, registry: Registry, watcher: Watcher, after: int, matches: Matches | None, encoder: Encoder, timeout_s: float,
        bookmark_period_s: float,
    ) -> None:
        self.watcher = watcher
        self._registry = registry
        self._after = after
        self._matches = matches
        self._encoder = encoder
        self._bookmark_period_s = bookmark_period_s
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + timeout_s
        self._set_due()

    async def chunk(self) -> bytes:
        """The next events or a bookmark; empty at the end."""
        watcher = self.watcher
        while True:
            if watcher.events:
                if chunk := self._taken():
                    return chunk
                continue
            if watcher.is_cut:
                return b""
            if self._is_due:
                return self._bookmark()
            await watcher.woken()

    def close(self) -> None:
        """Nobody waits any more. Idempotent."""
        self._timer.cancel()

    def _taken(self) -> bytes:
        """What waits, up to a chunk; empty when nothing of it is selected."""
        lines, size = [], 0
        for line in _encoded(self.watcher.later_than(self._after), self._matches, self._encoder):
            lines.append(line)
            size += len(line)
            if size >= CHUNK_BYTES_MAX:
                break
        return lines[0] if len(lines) == 1 else b"".join(lines)

    def _bookmark(self) -> bytes:
        """What is sent when the time for it, or all time, is over."""
        if self._loop.time() + CLOCK_GRAIN_S >= self._deadline:
            self.watcher.cut()
        else:
            self._set_due()
        if not self._bookmark_period_s:
            return b""
        return self._encoder.bookmark(max(self._registry.revision, self._after), ends_initial_events=False)

    def _set_due(self) -> None:
        """One timer for the whole wait until a bookmark: most wake-ups are events, and a thousand watchers share each."""
        next_bookmark = self._loop.time() + self._bookmark_period_s if self._bookmark_period_s else self._deadline
        self._is_due = False
        self._timer = self._loop.call_at(min(self._deadline, next_bookmark), self._ring)

    def _ring(self) -> None:
        self._is_due = True
        self.watcher.wake()


def _encoded(events: Iterable[CacheEvent], matches: Matches | None, encoder: Encoder) -> Iterator[bytes]:
    for event in events:
        new, old = event.new, event.old
        is_selected = new is not None and (matches is None or matches(new))
        was_selected = old is not None and (matches is None or matches(old))
        if is_selected and new is not None:
            yield encoder.event("MODIFIED" if was_selected else "ADDED", new)
        elif was_selected:
            yield encoder.event("DELETED", event.last())


def _chunks(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Join parts into chunks of a bounded size."""
    joined: list[bytes] = []
    size = 0
    for part in parts:
        joined.append(part)
        size += len(part)
        if size >= CHUNK_BYTES_MAX:
            yield b"".join(joined)
            joined.clear()
            size = 0
    if joined:
        yield b"".join(joined)
