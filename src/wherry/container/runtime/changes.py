"""Tell listeners which containers changed: repeats coalesce, so a slow listener costs one entry per container."""

import asyncio
from collections.abc import AsyncIterator


class Changes:
    """Any number of listeners; each sees every id that changed since it last looked."""

    def __init__(self) -> None:
        self._listeners: list[tuple[dict[str, None], asyncio.Event]] = []

    def tell(self, container_id: str) -> None:
        """Never blocks."""
        for pending, changed in self._listeners:
            pending[container_id] = None
            changed.set()

    def listen(self) -> AsyncIterator[str]:
        """Ids from this call on (not only from the first `anext`), for ever."""
        listener: tuple[dict[str, None], asyncio.Event] = ({}, asyncio.Event())
        self._listeners.append(listener)
        return self._drain(listener)

    async def _drain(self, listener: tuple[dict[str, None], asyncio.Event]) -> AsyncIterator[str]:
        pending, changed = listener
        try:
            while True:
                await changed.wait()
                changed.clear()
                while pending:
                    first = next(iter(pending))
                    del pending[first]
                    yield first
        finally:
            self._listeners.remove(listener)
