"""One informer per resource and selection, shared by every component of a process."""

import asyncio
from dataclasses import dataclass, field

from wherry.kit.supervise import keep_running
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.informer import Informer
from wherry.orchestration.objects.resources import Resource


@dataclass(frozen=True, slots=True)
class _Selection:
    group: str
    version: str
    plural: str
    namespace: str
    labels: str
    fields: str
    metadata_only: bool


@dataclass(slots=True)
class Informers:
    """`of` makes an informer or returns the one there is; `run` runs them all, also those asked for later."""

    client: Client
    _known: dict[_Selection, Informer] = field(default_factory=dict)
    _stopped: dict[_Selection, asyncio.Event] = field(default_factory=dict)
    _new: asyncio.Event = field(default_factory=asyncio.Event)

    def of(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> Informer:
        """The shared informer of that selection."""
        key = _Selection(resource.group, resource.version, resource.plural, namespace, labels, fields, metadata_only)
        informer = self._known.get(key)
        if informer is None:
            informer = Informer(
                self.client, resource, namespace, labels, fields, metadata_only=metadata_only
            )
            self._known[key] = informer
            self._new.set()
        return informer

    def drop(self, informer: Informer) -> None:
        """Stop and forget an informer, for instance of a resource that is no longer served."""
        for key in [key for key, known in self._known.items() if known is informer]:
            del self._known[key]
            if key in self._stopped:
                self._stopped.pop(key).set()

    async def wait_synced(self) -> None:
        """Return once every informer asked for so far has its first list."""
        for informer in [*self._known.values()]:
            await informer.wait_synced()

    async def run(self) -> None:
        """Run until cancelled."""
        self._stopped.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._new.clear()
                for key, informer in self._known.items():
                    if key not in self._stopped:
                        self._stopped[key] = asyncio.Event()
                        tasks.create_task(self._keep(informer, self._stopped[key]), name=f"informer-{key.plural}")
                await self._new.wait()

    @staticmethod
    async def _keep(informer: Informer, stopped: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(
                keep_running(f"informer of {informer.resource.qualified_name}", informer.run), name="informer"
            )
            await stopped.wait()
            running.cancel()
