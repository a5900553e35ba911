"""What the gateway puts into the cluster before it works: definitions, its classes, the Envoy workload.

In:    a client that may write them.
Out:   present, and as this release wants them. Definitions that came from somebody else (upstream's own files) are left
       alone; so are classes that exist.
"""

import asyncio
import logging

from wherry.application.gateway import workload
from wherry.application.gateway.crds.definitions import OURS, custom_resource_definitions
from wherry.application.gateway.model.kinds import CLASS_NAME, CONTROLLER, GATEWAY_CLASSES, GATEWAY_GROUP
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.kit.errors import AlreadyExists, NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import CUSTOM_RESOURCE_DEFINITIONS, INGRESS_CLASSES
from wherry.orchestration.objects.meta import Object, annotations_of, condition_of, name_of
from wherry.orchestration.objects.well_known import ANNOTATION_IS_DEFAULT_INGRESS_CLASS

log = logging.getLogger(__name__)

FIELD_MANAGER = "wherry-gateway"
# Definitions are applied under kubectl's own name, so that `kubectl apply --server-side` of upstream's files over them
# is no conflict: it is the same manager saying something newer.
DEFINITION_MANAGER = "kubectl"
SERVED_WAIT_S = 30.0
SERVED_POLL_S = 0.05

INGRESS_CLASS: Object = {
    "apiVersion": INGRESS_CLASSES.api_version,
    "kind": "IngressClass",
    "metadata": {"name": CLASS_NAME, "annotations": {ANNOTATION_IS_DEFAULT_INGRESS_CLASS: "true"}},
    "spec": {"controller": CONTROLLER},
}
GATEWAY_CLASS: Object = {
    "apiVersion": f"{GATEWAY_GROUP}/v1",
    "kind": "GatewayClass",
    "metadata": {"name": CLASS_NAME},
    "spec": {"controllerName": CONTROLLER},
}


async def ensure(client: Client, settings: GatewaySettings, *, has_image: asyncio.Event | None = None) -> None:
    """Bring everything in; return when it is there, the Gateway API is served and its class exists.

    The workload is made once `has_image` is set, so that no pod waits for an image that is not there; the rest comes before.
    """
    async with asyncio.TaskGroup() as tasks:
        for definition in custom_resource_definitions():
            tasks.create_task(_define(client, definition), name="definition")
        if settings.manages_envoy:
            tasks.create_task(_workload(client, settings, has_image), name="workload")
        tasks.create_task(_classes(client), name="gateway classes")


async def _classes(client: Client) -> None:
    await _create(client, INGRESS_CLASS)
    async with asyncio.timeout(SERVED_WAIT_S):
        while True:
            try:
                await _create(client, GATEWAY_CLASS)
                return
            except NotFound:  # defined, and not served yet
                await asyncio.sleep(SERVED_POLL_S)


async def _define(client: Client, definition: Object) -> None:
    try:
        found = await client.get(CUSTOM_RESOURCE_DEFINITIONS, name_of(definition))
    except NotFound:
        found = None
    if found is not None and not is_ours(found):
        log.info("definition %s is somebody else's and stays", name_of(definition))
        return
    found = await client.apply(CUSTOM_RESOURCE_DEFINITIONS, definition, field_manager=DEFINITION_MANAGER)
    async with asyncio.timeout(SERVED_WAIT_S):
        while not _is_served(found):
            await asyncio.sleep(SERVED_POLL_S)
            found = await client.get(CUSTOM_RESOURCE_DEFINITIONS, name_of(definition))


def _is_served(definition: Object) -> bool:
    established = condition_of((definition.get("status") or {}).get("conditions"), "Established")
    return established is not None and established.get("status") == "True"


def is_ours(definition: Object) -> bool:
    """It carries our mark, and nobody else has written its spec since."""
    managers = {
        entry.get("manager")
        for entry in definition.get("metadata", {}).get("managedFields") or ()
        if "f:spec" in (entry.get("fieldsV1") or {})
    }
    return OURS in annotations_of(definition) and managers <= {DEFINITION_MANAGER, FIELD_MANAGER}


async def _workload(client: Client, settings: GatewaySettings, has_image: asyncio.Event | None) -> None:
    if has_image is not None:
        await has_image.wait()
    for resource, obj in workload.objects(settings):
        await client.apply(resource, obj, field_manager=FIELD_MANAGER)


async def _create(client: Client, obj: Object) -> None:
    resource = INGRESS_CLASSES if obj["kind"] == "IngressClass" else GATEWAY_CLASSES
    try:
        await client.create(resource, obj, field_manager=FIELD_MANAGER)
    except AlreadyExists:
        return
