"""Give Services of type LoadBalancer the machine's addresses; the proxy listens there.

In:    informer of Services; the addresses.
Out:   status.loadBalancer, taken away when the type changes; events EnsuringLoadBalancer, EnsuredLoadBalancer.
Spec:  k8s.io/cloud-provider controllers/service. Services with another loadBalancerClass are left to others.
Gap:   all LoadBalancers share the addresses, so two with the same port conflict: the older one has it, the younger waits.
"""

from collections.abc import Iterable

from wherry.kit.clock import Clock
from wherry.kit.errors import NotFound
from wherry.kit.reserved import Reserved
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import NORMAL, WARNING, Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.objects.kinds import SERVICES
from wherry.orchestration.objects.meta import Object, is_deleting, key_of, name_of, namespace_of, revision_of

COMPONENT = "service-controller"
OUR_CLASS = "wherry.dev/node"
WORKERS = 2
NOTHING = Reserved()


class Controller:
    """service-lb-controller."""

    def __init__(
        self, client: Client, informers: Informers, recorder: Recorder, clock: Clock, addresses: tuple[str, ...],
        reserved: Reserved = NOTHING,
    ) -> None:
        self._reserved = reserved
        self._client = client
        self._addresses = addresses
        self._recorder = recorder.named(COMPONENT)
        self._services = informers.of(SERVICES)
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._services.wait_synced()
        self._services.subscribe(self._service_changed)
        await run_controller(COMPONENT, self._queue, self.reconcile, WORKERS)

    async def reconcile(self, key: str) -> None:
        """Bring the status of one Service up to date."""
        service = self._services.get(key)
        if service is None or is_deleting(service) or not is_ours(service):
            return
        obstacle = self._obstacle(service) if wants_balancer(service) else ""
        new = [] if obstacle else ingress_of(service, self._addresses)
        old = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        if obstacle:
            text = f"Error syncing load balancer: failed to ensure load balancer: {obstacle}"
            self._recorder.event(service, WARNING, "SyncLoadBalancerFailed", text)
        if old == new:
            return
        if new:
            self._recorder.event(service, NORMAL, "EnsuringLoadBalancer", "Ensuring load balancer")
        status = {**(service.get("status") or {}), "loadBalancer": {"ingress": new or None}}
        body = {"metadata": {"resourceVersion": revision_of(service)}, "status": status}
        try:
            await self._client.patch_status(SERVICES, name_of(service), namespace_of(service), body)
        except NotFound:
            return
        if new:
            self._recorder.event(service, NORMAL, "EnsuredLoadBalancer", "Ensured load balancer")
        else:
            self._recorder.event(service, NORMAL, "DeletedLoadBalancer", "Deleted load balancer")

    def _obstacle(self, service: Object) -> str:
        for protocol, port in sorted(_ports(service)):
            if owner := self._reserved.port_owner(protocol, port, asker=key_of(service)):
                return f"port {port}/{protocol} is reserved for {owner}"
        others = [other for other in self._services.list() if key_of(other) == key_of(service) or not self._is_refused(other)]
        rival = port_holder(service, others)
        return f"port in use by Service {key_of(rival)}" if rival is not None else ""

    def _is_refused(self, service: Object) -> bool:
        return any(self._reserved.port_owner(*port, asker=key_of(service)) for port in _ports(service))

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))
        freed = old is not None and wants_balancer(old) and (new is None or _part(old) != _part(new))
        if freed:
            for service in self._services.list():
                if wants_balancer(service):
                    self._queue.add(key_of(service))


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
