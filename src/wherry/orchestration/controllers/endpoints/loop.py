"""Keep the legacy Endpoints of every Service with a selector equal to its pods.

In:    informers of Services, pods, Endpoints.
Out:   Endpoints written; those of deleted Services removed; FailedToCreateEndpoint, FailedToUpdateEndpoint events.
Never: touches the Endpoints of Services without a selector, or leader election records.
"""

from collections.abc import Iterable

from wherry.kit.errors import AlreadyExists, Conflict, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import WARNING
from wherry.orchestration.controllers.backends import selection
from wherry.orchestration.controllers.backends.triggers import Triggers
from wherry.orchestration.controllers.endpoints.decide import decide
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import ENDPOINTS, PODS, SERVICES
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, key_of, revision_of, split_key, uid_of
from wherry.orchestration.objects.well_known import LEADER_ELECTION_RECORD_ANNOTATION_KEY


class Controller(Loop[str]):
    """endpoints-controller."""

    name = "endpoint-controller"
    workers = 5

    def __init__(self, tools: Tools) -> None:
        self.watches = (
            Watch(SERVICES, indexes=selection.OF_SERVICES),
            Watch(PODS, selection.services_touched, indexes=selection.OF_PODS),
            Watch(ENDPOINTS, self._of_the_endpoints),
        )
        super().__init__(tools)
        self._triggers = Triggers()
        self._left: set[str] = set()  # Endpoints found at the start: their Service may have gone while we were away

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        endpoints = self._informers.of(ENDPOINTS)
        await endpoints.wait_synced()
        self._left = {key_of(left) for left in endpoints.list()}
        await super().run()

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Bring the Endpoints of one Service up to date."""
        service, old = seen[SERVICES].get(key), seen[ENDPOINTS].get(key)
        if service is None:
            self._triggers.forget(key)
            if old is not None and LEADER_ELECTION_RECORD_ANNOTATION_KEY not in annotations_of(old):
                await self._remove(key, old)
            return
        if not selection.has_pods(service) or is_deleting(service):
            return
        pods = selection.pods_of(service, seen[PODS])
        new = decide(service, pods, old, self._triggers.since_last(service, pods))
        if new is not None:
            await self._write(key, service, new, seen)

    async def _remove(self, key: str, old: Object) -> None:
        namespace, name = split_key(key)
        try:
            await self.client.delete(ENDPOINTS, name, namespace, uid=uid_of(old))
        except NotFound:
            return

    async def _write(self, key: str, service: Object, new: Object, seen: Seen) -> None:
        verb = "Update" if revision_of(new) else "Create"
        try:
            write = self.client.update if revision_of(new) else self.client.create
            seen.wrote(key, ENDPOINTS, await write(ENDPOINTS, new))
        except (Conflict, AlreadyExists, NotFound):
            raise
        except WherryError as error:
            if is_namespace_ending(error):
                return
            text = f"Failed to {verb.lower()} endpoint {key}: {error}"
            self.recorder.event(service, WARNING, f"FailedTo{verb}Endpoint", text)
            raise

    def _of_the_endpoints(self, seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
        """Somebody's hand. Later Endpoints without a Service are not ours to judge: the Service may come later still."""
        key = key_of(new or old or {})
        if key in self._left or seen[SERVICES].get(key) is not None:
            self._left.discard(key)
            yield key
