"""Which addresses stand behind a Service port now, from its EndpointSlices. Which endpoints: `objects/endpoints.py`."""

import random

from wherry.kit.errors import Unavailable
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.endpoints import IPV4_AND_IPV6, Place, behind_port, service_of, takers
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object


def ready_endpoints(source: ObjectSource, namespace: str, service: str, port_name: str) -> list[Place]:
    """(address, port) of every endpoint that is not known to be unready."""
    slices = [each for each in source.list(ENDPOINT_SLICES, namespace) if service_of(each) == f"{namespace}/{service}"]
    return sorted(takers(behind_port(slices, port_name, families=IPV4_AND_IPV6)).ready)


def port_of(service: Object, number: int) -> Object | None:
    """The port of a Service by its number."""
    return next((port for port in service["spec"].get("ports") or () if port["port"] == number), None)


def place_behind(source: ObjectSource, namespace: str, name: str, number: int) -> Place:
    """One (address, port) that serves a port of a Service now, for webhooks and aggregated API servers. Raise `Unavailable`."""
    service = source.get(SERVICES, namespace, name)
    if service is None:
        raise Unavailable(f'service "{name}" not found')
    if service["spec"].get("type") == "ExternalName":
        return str(service["spec"]["externalName"]), number
    port = port_of(service, number)
    choices = ready_endpoints(source, namespace, name, port.get("name") or "") if port else []
    if not choices:
        raise Unavailable(f'no endpoints available for service "{name}"')
    return random.choice(choices)
