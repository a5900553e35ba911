"""The newest configuration, handed to every Envoy stream, and what Envoys made of it.

In:    `publish` from the control loop; `reported` from streams.
Out:   `newer_than` for streams; `rejections` and a callback for the control loop.
Promise: a stream that is slow gets the newest set, not each one.
"""

import asyncio
from collections.abc import Callable

from wherry.application.gateway.xds.resources import ResourceSet

MESSAGE_MAX = 1024


class Feed:
    """One per control plane."""

    def __init__(self) -> None:
        self.current: ResourceSet | None = None  # None until the first; nobody is answered before
        self.rejections: dict[tuple[str, str], str] = {}  # (type URL, name) to Envoy's words
        self.streams = 0
        self.on_report: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._applied: dict[int, ResourceSet] = {}

    def publish(self, resources: ResourceSet) -> None:
        """Make `resources` the newest."""
        self.current = resources
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def newer_than(self, seen: ResourceSet | None) -> ResourceSet:
        """The newest set, as soon as it is not `seen`."""
        while self.current is None or self.current is seen:
            await self._changed.wait()
        return self.current

    def applied(self, stream: int, resources: ResourceSet | None) -> None:
        """Stream number `stream` has everything of `resources` confirmed; None: the stream ended."""
        if resources is None:
            self._applied.pop(stream, None)
        else:
            self._applied[stream] = resources
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()

    async def wait_applied(self) -> None:
        """Return once every connected Envoy, at least one, has confirmed the newest set."""
        while not (self._applied and len(self._applied) == self.streams
                   and all(held is self.current for held in self._applied.values())):  # fmt: skip
            await self._settled.wait()

    def accepted(self, type_url: str, names: tuple[str, ...]) -> None:
        """Envoy confirmed these."""
        known = [(type_url, name) for name in names if (type_url, name) in self.rejections]
        for key in known:
            del self.rejections[key]
        if known:
            self.on_report()

    def rejected(self, type_url: str, names: tuple[str, ...], message: str) -> None:
        """Envoy refused a response with these; those its message names are to blame, or all when it names none."""
        blamed = [name for name in names if name in message] or names
        for name in blamed:
            self.rejections[type_url, name] = message[:MESSAGE_MAX]
        self.on_report()
