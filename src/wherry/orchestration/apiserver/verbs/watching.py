"""WATCH: every change after a revision, in order, once; bookmarks; initial events; ERROR when history is gone.

In:    a `Served`, the options, and an `Encoder` that turns entries into the form the client accepts.
Out:   chunks of newline-ended JSON events, several events a chunk when they come fast.
Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes and #streaming-lists
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
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
    """The body of a watch. It follows the cache from the moment it is made; close it to stop."""

    def __init__(self, cache: ResourceCache, watcher: Watcher, chunks: AsyncGenerator[bytes, None]) -> None:
        self._cache = cache
        self._watcher = watcher
        self._chunks = chunks

    def __aiter__(self) -> "WatchStream":
        return self

    async def __anext__(self) -> bytes:
        has_ended = True
        try:
            chunk = await anext(self._chunks)
            has_ended = False
            return chunk
        finally:
            if has_ended:
                self._cache.watchers.discard(self._watcher)

    async def aclose(self) -> None:
        """End the watch. Idempotent."""
        self._cache.watchers.discard(self._watcher)
        await self._chunks.aclose()


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
    served.cache.watchers.add(watcher)
    wants_initial = options.initial_events if options.initial_events is not None else not asked
    # No await from here to the end: what is in the cache now and what the watcher gets make one history.
    initial = list(served.cache.select(namespace)) if wants_initial else None
    chunks = _stream(registry, served, namespace, options, encoder, watcher, registry.revision, initial, timeout_s,
                     bookmark_period_s if options.bookmarks else 0.0)
    return WatchStream(served.cache, watcher, chunks)


async def _stream(
    registry: Registry, served: Served, namespace: str, options: ListOptions, encoder: Encoder, watcher: Watcher,
    start: int, initial: list[Cached] | None, timeout_s: float, bookmark_period_s: float,
) -> AsyncGenerator[bytes, None]:
    """`start` is the revision the watcher follows from; `initial` what was there then, when it is to be sent."""
    matches = matcher(served, namespace, options)
    asked = options.revision
    deadline = asyncio.get_running_loop().time() + timeout_s
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
            yield encoder.error(errors.too_old(error.asked, error.oldest).status())
            return
        start = max(start, asked)
    if options.initial_events and options.bookmarks:
        yield encoder.bookmark(start, ends_initial_events=True)
    async for chunk in _live(registry, watcher, start, matches, encoder, deadline, bookmark_period_s):
        yield chunk


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


async def _live(
    registry: Registry, watcher: Watcher, after: int, matches: Matches | None, encoder: Encoder,
    deadline: float, bookmark_period_s: float,
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    next_bookmark = loop.time() + bookmark_period_s if bookmark_period_s else deadline
    # One timer for the whole wait until a bookmark: most wake-ups are events, and a thousand watchers share each.
    timer = loop.call_at(min(deadline, next_bookmark), watcher.wake.set)
    try:
        while True:
            if watcher.events:
                for chunk in _chunks(_encoded(watcher.later_than(after), matches, encoder)):
                    yield chunk
                continue
            if watcher.is_cut:
                return
            watcher.wake.clear()
            await watcher.wake.wait()
            if watcher.events or loop.time() < min(deadline, next_bookmark):
                continue
            if bookmark_period_s:
                yield encoder.bookmark(max(registry.revision, after), ends_initial_events=False)
            if loop.time() >= deadline:
                return
            next_bookmark = loop.time() + bookmark_period_s if bookmark_period_s else deadline
            timer = loop.call_at(min(deadline, next_bookmark), watcher.wake.set)
    finally:
        timer.cancel()


def _encoded(events: Iterator[CacheEvent] | list[CacheEvent], matches: Matches | None, encoder: Encoder
             ) -> Iterator[bytes]:
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
