"""Which addresses stand behind a Service port now, from its EndpointSlices."""

from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES
from wherry.orchestration.objects.meta import labels_of

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


def ready_endpoints(source: ObjectSource, namespace: str, service: str, port_name: str) -> list[tuple[str, int]]:
    """(address, port) of every endpoint that is not known to be unready."""
    found: list[tuple[str, int]] = []
    for slice_ in source.list(ENDPOINT_SLICES, namespace):
        if labels_of(slice_).get(SERVICE_NAME_LABEL) != service:
            continue
        ports = [p["port"] for p in slice_.get("ports") or () if (p.get("name") or "") == port_name and p.get("port")]
        ready = [e for e in slice_.get("endpoints") or () if (e.get("conditions") or {}).get("ready") is not False]
        found += [(address, port) for e in ready for address in (e.get("addresses") or ())[:1] for port in ports]
    return found
