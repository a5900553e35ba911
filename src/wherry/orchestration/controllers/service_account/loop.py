"""Every namespace has the ServiceAccount `default`, which pods run as when they name none.

In:    informers of namespaces and of the accounts of that name.
Out:   accounts created, again when somebody deletes them.
Spec:  Kubernetes pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from wherry.kit.clock import Clock
from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.workload.children import wake_on_change
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import NAMESPACES, SERVICE_ACCOUNTS
from wherry.orchestration.objects.meta import Object, is_deleting, namespace_of

COMPONENT = "service-account-controller"
ACCOUNT = "default"
WORKERS = 4


class Controller:
    """serviceaccount-controller. Keys are names of namespaces."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._namespaces = informers.of(NAMESPACES)
        self._accounts = informers.of(SERVICE_ACCOUNTS, fields=f"metadata.name={ACCOUNT}", metadata_only=True)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._namespaces.wait_synced()
        await self._accounts.wait_synced()
        wake_on_change(self._namespaces, self._queue)
        self._accounts.subscribe(self._account_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, namespace: str) -> None:
        """See to one namespace."""
        found = self._namespaces.get(namespace)
        if found is None or is_deleting(found) or self._accounts.get(f"{namespace}/{ACCOUNT}") is not None:
            return
        try:
            await self._client.create(SERVICE_ACCOUNTS, {"metadata": {"name": ACCOUNT, "namespace": namespace}})
        except (AlreadyExists, NotFound):
            return
        except WherryError as error:
            if not is_namespace_ending(error):
                raise

    def _account_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._queue.add(namespace_of(old))
