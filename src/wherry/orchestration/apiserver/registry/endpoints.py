"""Which addresses stand behind a Service port now, from its EndpointSlices. Which endpoints: `objects/endpoints.py`."""

from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.endpoints import IPV4_AND_IPV6, Place, behind_port, service_of, takers
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES


def ready_endpoints(source: ObjectSource, namespace: str, service: str, port_name: str) -> list[Place]:
    """(address, port) of every endpoint that is not known to be unready."""
    slices = [each for each in source.list(ENDPOINT_SLICES, namespace) if service_of(each) == f"{namespace}/{service}"]
    return sorted(takers(behind_port(slices, port_name, families=IPV4_AND_IPV6)).ready)
