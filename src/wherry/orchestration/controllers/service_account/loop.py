"""Every namespace has the ServiceAccount `default`, which pods run as when they name none.

In:    informers of namespaces and of the accounts of that name.
Out:   accounts created, again when somebody deletes them.
Spec:  Kubernetes pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from collections.abc import Iterable

from wherry.kit.errors import AlreadyExists, NotFound, WherryError
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.controllers.workload.pod_control import is_namespace_ending
from wherry.orchestration.objects.kinds import NAMESPACES, SERVICE_ACCOUNTS
from wherry.orchestration.objects.meta import Object, is_deleting, namespace_of

ACCOUNT = "default"


def _of_the_lost(_: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    if new is None and old is not None:
        yield namespace_of(old)


class Controller(Loop[str]):
    """serviceaccount-controller."""

    name = "service-account-controller"
    workers = 4
    watches = (
        Watch(NAMESPACES),
        Watch(SERVICE_ACCOUNTS, _of_the_lost, fields=f"metadata.name={ACCOUNT}", metadata_only=True),
    )

    async def reconcile(self, key: str, seen: Seen) -> None:
        """See to one namespace."""
        found = seen[NAMESPACES].get(key)
        if found is None or is_deleting(found) or seen[SERVICE_ACCOUNTS].get(f"{key}/{ACCOUNT}") is not None:
            return
        try:
            await self.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": ACCOUNT, "namespace": key}})
        except (AlreadyExists, NotFound):
            return
        except WherryError as error:
            if not is_namespace_ending(error):
                raise
