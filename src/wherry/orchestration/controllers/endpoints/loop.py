"""Keep the legacy Endpoints of every Service with a selector equal to its pods.

In:    informers of Services, pods, Endpoints.
Out:   Endpoints written; those of deleted Services removed; FailedToCreateEndpoint, FailedToUpdateEndpoint events.
Never: touches the Endpoints of Services without a selector, or leader election records.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import AlreadyExists, Conflict, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.backends import selection
from wherry.orchestration.controllers.backends.triggers import Triggers
from wherry.orchestration.controllers.endpoints.decide import decide
from wherry.orchestration.controllers.workload.children import wake_on_change
from wherry.orchestration.controllers.workload.expectations import Expectations
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import ENDPOINTS, PODS, SERVICES
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, key_of, revision_of, split_key, uid_of

COMPONENT = "endpoint-controller"
WORKERS = 5
LEADER = "control-plane.alpha.kubernetes.io/leader"


class Controller:
    """endpoints-controller."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder.named(COMPONENT)
        self._services = informers.of(SERVICES)
        self._pods = informers.of(PODS)
        self._endpoints = informers.of(ENDPOINTS)
        self._expected = Expectations(self._endpoints)
        self._triggers = Triggers()
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        selection.index(self._services, self._pods)
        for informer in (self._services, self._pods, self._endpoints):
            await informer.wait_synced()
        wake_on_change(self._services, self._queue)
        selection.wake_services(self._pods, self._services, self._queue.add)
        for left in self._endpoints.list():
            self._queue.add(key_of(left))  # its Service may have gone while we were away
        self._endpoints.subscribe(self._endpoints_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring the Endpoints of one Service up to date."""
        service, old = self._services.get(key), self._endpoints.get(key)
        if service is None:
            self._triggers.forget(key)
            self._expected.forget(key)
            if old is not None and LEADER not in annotations_of(old):
                await self._remove(key, old)
            return
        if not selection.has_pods(service) or is_deleting(service) or not self._expected.met(key):
            return
        pods = selection.pods_of(service, self._pods)
        new = decide(service, pods, old, self._triggers.since_last(service, pods))
        if new is not None:
            await self._write(key, service, new)

    async def _remove(self, key: str, old: Object) -> None:
        namespace, name = split_key(key)
        try:
            await self._client.delete(ENDPOINTS, name, namespace, uid=uid_of(old))
        except NotFound:
            return

    async def _write(self, key: str, service: Object, new: Object) -> None:
        verb = "Update" if revision_of(new) else "Create"
        try:
            write = self._client.update if revision_of(new) else self._client.create
            self._expected.created(key, await write(ENDPOINTS, new))
        except (Conflict, AlreadyExists, NotFound):
            raise
        except WherryError as error:
            if is_namespace_ending(error):
                return
            text = f"Failed to {verb.lower()} endpoint {key}: {error}"
            self._recorder.event(service, WARNING, f"FailedTo{verb}Endpoint", text)
            raise

    def _endpoints_changed(self, old: Object | None, new: Object | None) -> None:
        """Somebody's hand. Endpoints without a Service are not ours to judge: the Service may come later."""
        key = key_of(new or old or {})
        if self._services.get(key) is not None:
            self._queue.add(key)
