"""Keep what Envoy took in a file, so that the next control plane knows the last good version of a route that is refused.

In:    the tables as `Isolation` has them, and a word whenever one changed.
Out:   the file, replaced as a whole, at most once in `REST_S`; what the last one left there.
Never: decides; a file that cannot be read is as good as none.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from wherry.application.gateway.xds import taken
from wherry.application.gateway.xds.isolation import Hosts
from wherry.kit import atomic_file
from wherry.kit.clock import Clock
from wherry.kit.errors import Invalid

log = logging.getLogger(__name__)

REST_S = 5.0


class TakenFile:
    """See the module docstring. Without a path nothing is kept."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._changed = asyncio.Event()
        self._held = b""

    def read(self) -> Mapping[str, Hosts]:
        """What Envoy took before this start."""
        try:
            self._held = self._path.read_bytes() if self._path else b""
            return taken.decode(self._held) if self._held else {}
        except FileNotFoundError:
            return {}
        except Invalid as error:
            log.warning("%s: %s; the last good version of a refused route is not known", self._path, error)
            return {}

    def note(self) -> None:
        """Something was taken."""
        self._changed.set()

    async def keep(self, tables: Callable[[], Mapping[str, Hosts]]) -> None:
        """Write what changed, until cancelled."""
        while True:
            await self._changed.wait()
            data = taken.encode(tables())
            self._changed.clear()
            if self._path and data != self._held:
                try:
                    await asyncio.to_thread(atomic_file.write, self._path, data, mode=0o600)
                except OSError:
                    self._changed.set()
                    raise
                self._held = data
            await self._clock.sleep(REST_S)
