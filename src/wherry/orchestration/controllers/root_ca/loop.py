"""Every namespace has the ConfigMap `kube-root-ca.crt`, by which pods trust the API server.

In:    the CA bundle (PEM); informers of namespaces and of the ConfigMaps of that name.
Out:   ConfigMaps created, and put right when somebody changes or deletes them.
Spec:  Kubernetes pkg/controller/certificates/rootcacertpublisher.
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
from wherry.orchestration.objects.kinds import CONFIG_MAPS, NAMESPACES
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, namespace_of

COMPONENT = "root-ca-certificate-publisher"
NAME = "kube-root-ca.crt"
DESCRIPTION = {  # part of the API: tools look for it
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
        "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
        "clusters."
    )
}
WORKERS = 4


class Controller:
    """root-ca-certificate-publisher-controller. Keys are names of namespaces."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock, root_ca: str) -> None:
        self._client = client
        self._root_ca = root_ca
        self._namespaces = informers.of(NAMESPACES)
        self._maps = informers.of(CONFIG_MAPS, fields=f"metadata.name={NAME}")
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._namespaces.wait_synced()
        await self._maps.wait_synced()
        wake_on_change(self._namespaces, self._queue)
        self._maps.subscribe(self._map_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, namespace: str) -> None:
        """See to one namespace."""
        found, old = self._namespaces.get(namespace), self._maps.get(f"{namespace}/{NAME}")
        if found is None or is_deleting(found):
            return
        data = {"ca.crt": self._root_ca}
        try:
            if old is None:
                metadata = {"name": NAME, "namespace": namespace, "annotations": DESCRIPTION}
                await self._client.create(CONFIG_MAPS, {"metadata": metadata, "data": data})
            elif old.get("data") != data or not DESCRIPTION.items() <= annotations_of(old).items():
                metadata = {**old["metadata"], "annotations": {**annotations_of(old), **DESCRIPTION}}
                await self._client.update(CONFIG_MAPS, {**old, "metadata": metadata, "data": data})
        except (AlreadyExists, NotFound):
            return
        except WherryError as error:
            if not is_namespace_ending(error):
                raise

    def _map_changed(self, old: Object | None, new: Object | None) -> None:
        self._queue.add(namespace_of(new or old or {}))
