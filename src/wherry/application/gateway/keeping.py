"""Keep what Envoy took in a file, so that the next control plane knows the last good version of a route that is refused.

In:    the tables as `Isolation` has them, and a word whenever one changed.
Out:   the file, replaced as a whole, soon after a change and once more at an orderly end; what the last one left there.
Never: decides; a file that cannot be read is as good as none.
Lossy: a control plane that is killed between Envoy's word and the file (`REST_S_MIN`, longer where it is large) loses that change.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from wherry.application.gateway.xds import taken
from wherry.application.gateway.xds.isolation import Hosts
from wherry.kit import atomic_file
from wherry.kit.clock import loop_time
from wherry.kit.errors import Invalid

log = logging.getLogger(__name__)

REST_S_MIN = 0.2
RESTS_PER_WRITE = 20  # a stream of changes spends a twentieth of its time here


class TakenFile:
    """See the module docstring. Without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._changed = asyncio.Event()
        self._held = b""
        self._lock = threading.Lock()
        self._begun = self._written = 0  # numbers of writes: an older one never replaces a newer

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
        try:
            while True:
                await self._changed.wait()
                began_at = loop_time()
                write = self._next(tables)
                try:
                    await asyncio.to_thread(write)
                except (OSError, asyncio.CancelledError):
                    self._changed.set()  # the next try, or the end below, has it
                    raise
                await asyncio.sleep(max(REST_S_MIN, RESTS_PER_WRITE * (loop_time() - began_at)))
        except asyncio.CancelledError:
            if self._changed.is_set():  # an orderly end, in the middle of the rest
                try:
                    self._next(tables)()
                except OSError as error:
                    log.warning("%s: what was taken last is not kept: %s", self._path, error)
            raise

    def _next(self, tables: Callable[[], Mapping[str, Hosts]]) -> Callable[[], None]:
        self._changed.clear()
        self._begun += 1
        return partial(self._write, self._begun, taken.encode(tables()))

    def _write(self, number: int, data: bytes) -> None:
        with self._lock:
            if self._path is None or number < self._written:
                return
            if data != self._held:
                atomic_file.write(self._path, data, mode=0o600)
            self._held, self._written = data, number
