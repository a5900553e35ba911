"""Every namespace has the ConfigMap `kube-root-ca.crt`, by which pods trust the API server.

In:    the CA bundle (PEM); informers of namespaces and of the ConfigMaps of that name.
Out:   ConfigMaps created, and put right when somebody changes or deletes them.
Spec:  Kubernetes pkg/controller/certificates/rootcacertpublisher.
"""

from collections.abc import Iterable

from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import CONFIG_MAPS, NAMESPACES
from wherry.orchestration.objects.meta import Object, annotations_of, is_deleting, namespace_of

NAME = "kube-root-ca.crt"
DESCRIPTION = {  # part of the API: tools look for it
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
        "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
        "clusters."
    )
}


def _of_the_map(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    yield namespace_of(new or old or {})


class Controller(Loop[str]):
    """root-ca-certificate-publisher-controller."""

    name = "root-ca-certificate-publisher"
    workers = 4
    watches = (Watch(NAMESPACES), Watch(CONFIG_MAPS, _of_the_map, fields=f"metadata.name={NAME}"))

    def __init__(self, tools: Tools, root_ca: str) -> None:
        super().__init__(tools)
        self._root_ca = root_ca

    async def reconcile(self, key: str, seen: Seen) -> None:
        """See to one namespace."""
        found, old = seen[NAMESPACES].get(key), seen[CONFIG_MAPS].get(f"{key}/{NAME}")
        if found is None or is_deleting(found):
            return
        data = {"ca.crt": self._root_ca}
        try:
            if old is None:
                metadata = {"name": NAME, "namespace": key, "annotations": DESCRIPTION}
                await self.client.create(CONFIG_MAPS, {"metadata": metadata, "data": data})
            elif old.get("data") != data or not DESCRIPTION.items() <= annotations_of(old).items():
                metadata = {**old["metadata"], "annotations": {**annotations_of(old), **DESCRIPTION}}
                await self.client.update(CONFIG_MAPS, {**old, "metadata": metadata, "data": data})
        except (AlreadyExists, NotFound):
            return
        except WherryError as error:
            if not is_namespace_ending(error):
                raise
