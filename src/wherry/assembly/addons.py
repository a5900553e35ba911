"""Objects every cluster begins with: the default storage class. (The gateway brings its own classes.)

In:    a client that may write them.
Out:   created when absent; what a user changed is left alone.
"""

from wherry.kit.errors import AlreadyExists
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import STORAGE_CLASSES
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

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


async def apply(client: Client) -> None:
    """Create what is absent."""
    for resource, obj in ADDONS:
        try:
            await client.create(resource, obj)
        except AlreadyExists:
            continue
