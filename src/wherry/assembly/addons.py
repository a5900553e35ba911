"""Objects every cluster begins with, such as the default storage class. (The gateway brings its own classes.)

In:    a client that may write them, the objects.
Out:   created when absent; what a user changed is left alone.
"""

import asyncio
import logging

from wherry.kit.errors import AlreadyExists, WherryError
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.well_known import IS_DEFAULT_STORAGE_CLASS_ANNOTATION, LABEL_HOSTNAME

log = logging.getLogger(__name__)

RETRY_S = 5.0


def local_class(node_name: str) -> Object:
    """The default StorageClass: volumes on the disk of the server's node, so pods that claim one run there."""
    where = [{"matchLabelExpressions": [{"key": LABEL_HOSTNAME, "values": [node_name]}]}]
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local", "annotations": {IS_DEFAULT_STORAGE_CLASS_ANNOTATION: "true"}},
        "provisioner": "wherry.dev/local",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
        "allowedTopologies": where,
    }


async def keep_applied(client: Client, *objects: tuple[Resource, Object]) -> None:
    """Apply until it has worked once. A webhook whose backend is down, or an admission policy, refuses for a while: the
    server that its backend needs to start must not end of that."""
    while True:
        try:
            await apply(client, *objects)
        except WherryError as error:
            log.warning("addons not applied, again in %d s: %s", RETRY_S, error)
            await asyncio.sleep(RETRY_S)
        else:
            return


async def apply(client: Client, *objects: tuple[Resource, Object]) -> None:
    """Create what is absent. Raise `WherryError` when one is refused."""
    for resource, obj in objects:
        try:
            await client.create(resource, obj)
        except AlreadyExists:
            continue
