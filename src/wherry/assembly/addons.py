"""Objects every cluster begins with: the default storage class. (The gateway brings its own classes.)

In:    a client that may write them.
Out:   created when absent; what a user changed is left alone.
"""

import logging

from wherry.kit.clock import Clock
from wherry.kit.errors import AlreadyExists, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import STORAGE_CLASSES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

log = logging.getLogger(__name__)

RETRY_S = 5.0

LOCAL_CLASS: Object = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "wherry.dev/local",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}
ADDONS: tuple[tuple[Resource, Object], ...] = ((STORAGE_CLASSES, LOCAL_CLASS),)


async def keep_applied(client: Client, clock: Clock, *more: tuple[Resource, Object]) -> None:
    """Apply until it has worked once. A webhook whose backend is down, or an admission policy, refuses for a while: the
    server that its backend needs to start must not end of that."""
    while True:
        try:
            await apply(client, *more)
        except WherryError as error:
            log.warning("addons not applied, again in %d s: %s", RETRY_S, error)
            await clock.sleep(RETRY_S)
        else:
            return


async def apply(client: Client, *more: tuple[Resource, Object]) -> None:
    """Create what is absent. Raise `WherryError` when one is refused."""
    for resource, obj in (*ADDONS, *more):
        try:
            await client.create(resource, obj)
        except AlreadyExists:
            continue
