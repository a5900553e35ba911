"""Conflicts over hosts, said where their users look: listener and route conditions, Events of Ingresses.

In:    statuses as the dialects made them, the conflicts, what is still served.
Out:   statuses and notices.
Spec:  Gateway API v1: listener Conflicted/HostnameConflict; route Accepted, PartiallyInvalid.
"""

from collections.abc import Iterable
from dataclasses import replace

from wherry.application.gateway.model.contract import Notice, Status
from wherry.application.gateway.model.kinds import GATEWAYS, HTTP_ROUTES
from wherry.application.gateway.model.snapshot import Snapshot
from wherry.application.gateway.model.values import Listener
from wherry.application.gateway.ownership import Conflict
from wherry.orchestration.objects.kinds import INGRESSES
from wherry.orchestration.objects.meta import Object

REASON = "HostnameConflict"


def notices_of(conflicts: Iterable[Conflict], snapshot: Snapshot) -> Iterable[Notice]:
    """A Warning for each Ingress."""
    for conflict in conflicts:
        kind, key = conflict.owner.split("/", 1)
        if kind == "Ingress" and (obj := snapshot.of(INGRESSES, key)) is not None:
            yield Notice(obj, REASON, conflict.message)


def statuses_with(
    statuses: tuple[Status, ...], conflicts: tuple[Conflict, ...], kept: tuple[Listener, ...]
) -> tuple[Status, ...]:
    """The statuses, those of refused listeners and routes changed."""
    listeners = {c.owner: c.message for c in conflicts if c.is_listener}
    served = {(str(route.order[7]), _gateway(item.owners[0])) for item in kept for host in item.hosts for route in host.routes}
    routes = {(key, _gateway(c.owner)): c.message for c in conflicts for key in c.routes if c.owner.startswith("Gateway/")}
    gateways = {_gateway(owner) for owner in listeners}
    return tuple(
        _gateway_status(status, listeners) if status.resource is GATEWAYS and status.key in gateways
        else _route_status(status, routes, served) if status.resource is HTTP_ROUTES and any(status.key == k for k, _ in routes)
        else status
        for status in statuses
    )  # fmt: skip


def _gateway(owner: str) -> str:
    return "/".join(owner.split("/")[1:3])


def _gateway_status(status: Status, refused: dict[str, str]) -> Status:
    listeners = []
    for entry in status.desired["listeners"]:
        message = refused.get(f"Gateway/{status.key}/{entry['name']}")
        if message is not None:
            words = {"Accepted": ("False", REASON), "Conflicted": ("True", REASON), "Programmed": ("False", "Invalid")}
            entry = {**entry, "conditions": [_changed(c, *words[c["type"]], message) if c["type"] in words else c
                                             for c in entry["conditions"]]}  # fmt: skip
        listeners.append(entry)
    desired = {**status.desired, "listeners": listeners}
    if all(any(c["type"] == "Programmed" and c["status"] == "False" for c in entry["conditions"]) for entry in listeners):
        words = {"Accepted": ("False", "ListenersNotValid"), "Programmed": ("False", "Invalid")}
        text = next(iter(refused.values()))
        desired["conditions"] = [_changed(c, *words[c["type"]], text) if c["type"] in words else c for c in desired["conditions"]]
    return replace(status, desired=desired)


def _route_status(status: Status, refused: dict[tuple[str, str], str], served: set[tuple[str, str]]) -> Status:
    parents = []
    for entry in status.desired["parents"]:
        reference = entry["parentRef"]
        place = (status.key, f"{reference.get('namespace') or status.namespace}/{reference.get('name')}")
        if (message := refused.get(place)) is not None:
            conditions = entry["conditions"]
            if place in served:
                partial = {**conditions[0], "type": "PartiallyInvalid", "status": "True", "reason": REASON, "message": message}
                conditions = [*conditions, partial]
            else:
                conditions = [_changed(c, "False", REASON, message) if c["type"] == "Accepted" else c for c in conditions]
            entry = {**entry, "conditions": conditions}
        parents.append(entry)
    return replace(status, desired={**status.desired, "parents": parents})


def _changed(condition: Object, status: str, reason: str, message: str) -> Object:
    return {**condition, "status": status, "reason": reason, "message": message}
