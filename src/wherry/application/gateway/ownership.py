"""Who owns a host of a port: the namespace of its oldest claim. `docs/design/host-ownership.md` argues the rule.

In:    listeners of all dialects, with the objects they came from.
Out:   the listeners without what conflicts, and the conflicts.
Claims: a Gateway's or Ingress's host for its own namespace; a route's host for the namespace of the Gateway that let it in.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wherry.application.gateway.model.grants import GRANTS_BY_NAMESPACE, is_granted
from wherry.application.gateway.model.kinds import GATEWAY_GROUP, GATEWAYS, REFERENCE_GRANTS
from wherry.application.gateway.model.snapshot import Snapshot, by_namespace
from wherry.application.gateway.model.values import ANY_HOST, Listener, VirtualHost
from wherry.orchestration.objects.kinds import INGRESSES

GROUPS = {"Gateway": GATEWAY_GROUP, "Ingress": "networking.k8s.io"}
Age = tuple[str, str]  # creation, `namespace/name`


@dataclass(frozen=True, slots=True)
class Claim:
    """`owner` is of the listener, `Gateway/default/web/http` or `Ingress/default/web`."""

    port: int
    host: str
    age: Age
    owner: str

    @property
    def namespace(self) -> str:
        """Whose claim it is."""
        return self.owner.split("/")[1]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A host that is not served. `is_listener`: the whole listener is not; `routes` are the keys of those it had."""

    owner: str
    host: str
    is_listener: bool
    routes: frozenset[str]
    message: str


def settle(listeners: tuple[Listener, ...], snapshot: Snapshot) -> tuple[tuple[Listener, ...], tuple[Conflict, ...]]:
    """What is served, and what is not because another namespace has it."""
    if len({listener.owners[0].split("/")[1] for listener in listeners if listener.owners}) < 2:
        return listeners, ()
    claims = {claim: None for listener in listeners for claim in _claims(listener, snapshot)}
    refused = _refused(claims, snapshot.with_table(GRANTS_BY_NAMESPACE, by_namespace(snapshot.all(REFERENCE_GRANTS))))
    if not refused:
        return listeners, ()
    kept, conflicts = [], []
    for listener in listeners:
        lost = {host: refused.get((listener.port, host, listener.owners[0])) for host in _hosts(listener)}
        if message := lost.get(listener.hostname) if listener.hostname != ANY_HOST else None:
            conflicts.append(Conflict(listener.owners[0], listener.hostname, True, _routes(listener.hosts), message))
            continue
        gone = [host for host in listener.hosts if lost.get(host.host)]
        conflicts += [Conflict(listener.owners[0], host.host, False, _routes((host,)), lost[host.host] or "") for host in gone]
        kept.append(replace(listener, hosts=tuple(host for host in listener.hosts if host not in gone)) if gone else listener)
    return tuple(kept), tuple(conflicts)


def _hosts(listener: Listener) -> set[str]:
    return {listener.hostname, *(host.host for host in listener.hosts)}


def _routes(hosts: Iterable[VirtualHost]) -> frozenset[str]:
    return frozenset(str(route.order[7]) for host in hosts for route in host.routes)


def _claims(listener: Listener, snapshot: Snapshot) -> Iterable[Claim]:
    owner = listener.owners[0]
    kind, namespace, name, *_ = owner.split("/")
    source = snapshot.of(GATEWAYS if kind == "Gateway" else INGRESSES, f"{namespace}/{name}") or {}
    age = (str((source.get("metadata") or {}).get("creationTimestamp") or ""), f"{namespace}/{name}")
    if listener.hostname != ANY_HOST:
        yield Claim(listener.port, listener.hostname, age, owner)
    for host in listener.hosts:
        if host.host != listener.hostname or host.host == ANY_HOST:
            ages = [(str(route.order[6]), str(route.order[7])) for route in host.routes]
            yield Claim(listener.port, host.host, max(age, min(ages, default=age)), owner)


def _refused(claims: Iterable[Claim], snapshot: Snapshot) -> dict[tuple[int, str, str], str]:
    held: dict[tuple[int, str], list[Claim]] = {}
    beneath: dict[tuple[int, str], list[Claim]] = {}
    found: dict[tuple[int, str, str], str] = {}
    for claim in sorted(claims, key=lambda claim: (claim.age, claim.owner, claim.host)):
        parents = _parents(claim.host)
        rivals = [*held.get((claim.port, claim.host), ()), *beneath.get((claim.port, claim.host), ())]
        rivals += [one for parent in parents if "." in parent[2:] for one in held.get((claim.port, parent), ())]
        rival = next((one for one in rivals if not _may(claim, one, snapshot)), None)
        if rival is not None:
            found[claim.port, claim.host, claim.owner] = (
                f"host {claim.host} on port {claim.port} belongs to namespace {rival.namespace}, which must grant it"
            )
            continue
        if not any(one.namespace == claim.namespace for one in held.get((claim.port, claim.host), ())):
            held.setdefault((claim.port, claim.host), []).append(claim)
            for parent in parents:
                beneath.setdefault((claim.port, parent), []).append(claim)
    return found


def _parents(host: str) -> tuple[str, ...]:
    """The wildcards that cover a host, `*` left out: it takes what nobody claims."""
    labels = host.removeprefix("*.").split(".")
    return tuple("*." + ".".join(labels[place:]) for place in range(1, len(labels))) if host != ANY_HOST else ()


def _may(claim: Claim, rival: Claim, snapshot: Snapshot) -> bool:
    kind, rival_kind = claim.owner.split("/")[0], rival.owner.split("/")[0]
    return is_granted(
        snapshot, group=GROUPS[kind], kind=kind, namespace=claim.namespace, to_group=GROUPS[rival_kind], to_kind=rival_kind,
        to_namespace=rival.namespace, to_name=rival.owner.split("/")[2],
    )  # fmt: skip
