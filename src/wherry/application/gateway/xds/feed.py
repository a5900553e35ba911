"""The newest configuration, handed to every Envoy stream, and what Envoys made of it.

In:    `publish` from the control loop; `reported` from streams.
Out:   `newer_than` for streams; `rejections` and a callback for the control loop.
Promise: a stream that is slow gets the newest set, not each one.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from wherry.application.gateway.xds.resources import ResourceSet

MESSAGE_MAX = 1024


class Feed:
    """One per control plane."""

    def __init__(self) -> None:
        self.current: ResourceSet | None = None  # None until the first; nobody is answered before
        self.rejections: dict[tuple[str, str], str] = {}  # (type URL, name) to Envoy's words
        self.streams = 0
        self.on_report: Callable[[], None] = lambda: None
        # (type URL, name, version, Envoy's words or "" where it took it); True when there is something else to send now
        self.on_verdict: Callable[[str, str, str, str], bool] = lambda *_: False
        self.on_applied: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._applied: dict[int, ResourceSet] = {}

    def publish(self, resources: ResourceSet) -> None:
        """Make `resources` the newest."""
        self.current = resources
        self.rejections = {key: text for key, text in self.rejections.items() if key[1] in resources.of(key[0])}
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
        self.on_applied()

    @property
    def held(self) -> Sequence[ResourceSet]:
        """What each connected Envoy has confirmed; () while there is none, or one that has confirmed nothing."""
        return tuple(self._applied.values()) if len(self._applied) == self.streams else ()

    async def wait_applied(self) -> None:
        """Return once every connected Envoy, at least one, has confirmed the newest set."""
        while not (self._applied and len(self._applied) == self.streams
                   and all(held is self.current for held in self._applied.values())):  # fmt: skip
            await self._settled.wait()

    def accepted(self, type_url: str, sent: Mapping[str, str]) -> None:
        """Envoy confirmed these; name to version."""
        known = [(type_url, name) for name in sent if (type_url, name) in self.rejections]
        for key in known:
            del self.rejections[key]
        verdicts = [self.on_verdict(type_url, name, version, "") for name, version in sent.items()]
        if known or any(verdicts):
            self.on_report()

    def rejected(self, type_url: str, sent: Mapping[str, str], message: str) -> None:
        """Envoy refused these; name to version. Where one response has several, see `named_in` first."""
        for name, version in sent.items():
            self.rejections[type_url, name] = message[:MESSAGE_MAX]
            self.on_verdict(type_url, name, version, message[:MESSAGE_MAX])
        self.on_report()


def named_in(message: str, names: Iterable[str]) -> list[str]:
    """Those of `names` that Envoy's message names, as in `Error adding/updating cluster(s) default/web/80: ...`."""
    return [name for name in names if re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w/-]|\.\w)", message)]
