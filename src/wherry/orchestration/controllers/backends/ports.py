"""The port numbers a Service's ports mean in one pod.

Spec:  Kubernetes pkg/api/v1/pod FindPort: a name is looked up in the containers and in sidecars, by protocol too.
"""

from collections.abc import Iterable
from typing import Any

from wherry.orchestration.objects.meta import Object


def target_port(pod: Object, service_port: Object) -> int | None:
    """The number, or None when the pod has no port of that name."""
    target = service_port.get("targetPort")
    if target is None or target == 0 or target == "":
        return int(service_port["port"])
    if isinstance(target, int):
        return target
    protocol = service_port.get("protocol") or "TCP"
    for port in _container_ports(pod):
        if port.get("name") == target and (port.get("protocol") or "TCP") == protocol:
            return int(port["containerPort"])
    return None


def endpoint_ports(pod: Object, service: Object) -> list[Object]:
    """discovery.k8s.io/v1 EndpointPorts of the Service in this pod; those the pod lacks are left out."""
    found: list[Object] = []
    for service_port in (service.get("spec") or {}).get("ports") or ():
        number = target_port(pod, service_port)
        if number is None:
            continue
        port: dict[str, Any] = {
            "name": service_port.get("name") or "", "port": number, "protocol": service_port.get("protocol") or "TCP",
        }  # fmt: skip
        if service_port.get("appProtocol"):
            port["appProtocol"] = service_port["appProtocol"]
        found.append(port)
    return found


def _container_ports(pod: Object) -> Iterable[Object]:
    spec = pod.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        yield from container.get("ports") or ()
