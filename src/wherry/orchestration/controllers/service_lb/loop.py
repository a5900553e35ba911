"""Give Services of type LoadBalancer the machine's addresses; the proxy listens there.

In:    informer of Services; the addresses.
Out:   status.loadBalancer, taken away when the type changes; events EnsuringLoadBalancer, EnsuredLoadBalancer.
Spec:  k8s.io/cloud-provider controllers/service. Services with another loadBalancerClass are left to others.
Gap:   all LoadBalancers share the addresses, so two with the same port conflict: the older one has it, the younger waits.
"""

from collections.abc import Iterable

from wherry.kit.errors import NotFound
from wherry.kit.reserved import Reserved
from wherry.orchestration.client.loop_kit import Loop, Seen, Tools, Watch
from wherry.orchestration.client.recorder import NORMAL, WARNING
from wherry.orchestration.objects.kinds import SERVICES
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, revision_of

OUR_CLASS = "wherry.dev/node"
NOTHING = Reserved()


def _and_who_may_wait(seen: Seen, old: Object | None, new: Object | None) -> Iterable[str]:
    """The Service, and all that may have its ports now."""
    if new is not None:
        yield key_of(new)
    if old is not None and wants_balancer(old) and (new is None or _part(old) != _part(new)):
        yield from (key_of(service) for service in seen[SERVICES].list() if wants_balancer(service))


class Controller(Loop[str]):
    """service-lb-controller."""

    name = "service-controller"
    workers = 2
    watches = (Watch(SERVICES, _and_who_may_wait),)

    def __init__(self, tools: Tools, addresses: tuple[str, ...], reserved: Reserved = NOTHING) -> None:
        super().__init__(tools)
        self._addresses, self._reserved = addresses, reserved

    async def reconcile(self, key: str, seen: Seen) -> None:
        """Bring the status of one Service up to date."""
        service = seen[SERVICES].get(key)
        if service is None or is_deleting(service) or not is_ours(service):
            return
        obstacle = self._obstacle(service, seen) if wants_balancer(service) else ""
        new = [] if obstacle else ingress_of(service, self._addresses)
        old = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        if obstacle:
            text = f"Error syncing load balancer: failed to ensure load balancer: {obstacle}"
            self.recorder.event(service, WARNING, "SyncLoadBalancerFailed", text)
        if old == new:
            return
        if new:
            self.recorder.event(service, NORMAL, "EnsuringLoadBalancer", "Ensuring load balancer")
        status = {**(service.get("status") or {}), "loadBalancer": {"ingress": new or None}}
        body = {"metadata": {"resourceVersion": revision_of(service)}, "status": status}
        try:
            await self.client.patch_status(SERVICES, name_of(service), namespace_of(service), body)
        except NotFound:
            return
        if new:
            self.recorder.event(service, NORMAL, "EnsuredLoadBalancer", "Ensured load balancer")
        else:
            self.recorder.event(service, NORMAL, "DeletedLoadBalancer", "Deleted load balancer")

    def _obstacle(self, service: Object, seen: Seen) -> str:
        for protocol, port in sorted(_ports(service)):
            if owner := self._reserved.port_owner(protocol, port, asker=key_of(service)):
                return f"port {port}/{protocol} is reserved for {owner}"
        others = [other for other in seen[SERVICES].list() if key_of(other) == key_of(service) or not self._is_refused(other)]
        rival = port_holder(service, others)
        return f"port in use by Service {key_of(rival)}" if rival is not None else ""

    def _is_refused(self, service: Object) -> bool:
        return any(self._reserved.port_owner(*port, asker=key_of(service)) for port in _ports(service))


def wants_balancer(service: Object) -> bool:
    """Type LoadBalancer, of our class or of none."""
    return is_ours(service) and (service.get("spec") or {}).get("type") == "LoadBalancer"


def is_ours(service: Object) -> bool:
    """Not given to another implementation."""
    return ((service.get("spec") or {}).get("loadBalancerClass") or OUR_CLASS) == OUR_CLASS


def ingress_of(service: Object, addresses: Iterable[str]) -> list[Object]:
    """status.loadBalancer.ingress as it should be: of spec.loadBalancerIP only, when that is one of ours."""
    if not wants_balancer(service):
        return []
    families = set((service.get("spec") or {}).get("ipFamilies") or ("IPv4",))
    usable = [ip for ip in addresses if ("IPv6" if ":" in ip else "IPv4") in families]
    asked = (service.get("spec") or {}).get("loadBalancerIP")
    return [{"ip": ip, "ipMode": "VIP"} for ip in usable if not asked or ip == asked or asked not in usable]


def port_holder(service: Object, others: Iterable[Object]) -> Object | None:
    """An older LoadBalancer Service that has one of the ports already."""
    mine = _ports(service)
    rivals = [other for other in others if key_of(other) != key_of(service) and wants_balancer(other) and _ports(other) & mine]
    older = [other for other in rivals if _age(other) < _age(service)]
    return min(older, key=_age, default=None)


def _ports(service: Object) -> set[tuple[str, int]]:
    return {(p.get("protocol") or "TCP", int(p["port"])) for p in (service.get("spec") or {}).get("ports") or ()}


def _age(service: Object) -> tuple[str, str]:
    return str(service["metadata"].get("creationTimestamp")), key_of(service)


def _part(service: Object) -> tuple[object, ...]:
    spec = service.get("spec") or {}
    return spec.get("type"), spec.get("ports"), spec.get("loadBalancerClass"), is_deleting(service)
