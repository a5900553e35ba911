"""Which listeners of Gateways Envoy has: those of a configuration that every connected Envoy has confirmed.

In:    each configuration as it is published, with the model's listeners; what Envoys have confirmed.
Out:   the owners that wait; a Gateway's status that says no more than is so.
Spec:  Gateway API v1, condition Programmed: True is for the data plane, not for what was sent to it.

Routes do not count: a listener that Envoy has stays programmed while its routes change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wherry.application.gateway.model.contract import Status
from wherry.application.gateway.model.kinds import GATEWAYS
from wherry.application.gateway.model.values import Listener
from wherry.application.gateway.xds.resources import ResourceSet
from wherry.orchestration.objects.meta import Object, condition_of

PUBLISHED_MAX = 64  # an Envoy that is further behind is waited for until it has the newest
PENDING = "Envoy has not confirmed it yet"

Doors = frozenset[tuple[str, Listener]]  # owner, and its listener without routes


class Programmed:
    """See the module docstring."""

    def __init__(self) -> None:
        self._published: list[tuple[ResourceSet, Doors]] = []
        self._held: Doors = frozenset()

    def published(self, resources: ResourceSet, listeners: Iterable[Listener]) -> None:
        """`resources` are the newest, made of these; or still the newest, of others that are the same to Envoy."""
        if self._published and self._published[-1][0] is resources:
            self._published.pop()
        self._published = [*self._published, (resources, _doors(listeners))][-PUBLISHED_MAX:]

    def confirmed(self, held: Sequence[ResourceSet]) -> bool:
        """What each Envoy has, () for unknown. True when other listeners are held now."""
        places = [place for place, (resources, _) in enumerate(self._published) if any(one is resources for one in held)]
        if not places or len(places) < len({id(one) for one in held}):
            return False
        before, self._held = self._held, self._published[places[0]][1]
        del self._published[: places[0]]
        return self._held != before

    def pending(self, listeners: Iterable[Listener]) -> frozenset[str]:
        """Owners with a listener that some Envoy has not confirmed."""
        return frozenset(owner for owner, _ in _doors(listeners) - self._held)


def held_back(status: Status, obj: Object, pending: frozenset[str]) -> Object:
    """What `status` wants said, with Programmed as `obj` has it for what is pending; at first it is False."""
    mine = {owner.rpartition("/")[2] for owner in pending if owner.startswith(f"Gateway/{status.key}/")}
    if status.resource != GATEWAYS or not mine:
        return status.desired
    said = obj.get("status") or {}
    listeners = {entry.get("name"): entry for entry in said.get("listeners") or ()}
    return {
        **status.desired,
        "conditions": _waiting(status.desired["conditions"], said),
        "listeners": [
            {**entry, "conditions": _waiting(entry["conditions"], listeners.get(entry["name"]) or {})}
            if entry["name"] in mine else entry for entry in status.desired["listeners"]
        ],
    }  # fmt: skip


def _waiting(wanted: Sequence[Object], said: Object) -> list[Object]:
    return [_waits(one, condition_of(said.get("conditions"), "Programmed"))
            if (one["type"], one["status"]) == ("Programmed", "True") else one for one in wanted]


def _waits(wanted: Object, said: Mapping[str, Any] | None) -> Object:
    if said is None or said.get("status") != "True":
        return {**wanted, "status": "False", "reason": "Pending", "message": PENDING}
    return {key: value for key, value in said.items() if key != "lastTransitionTime"}


def _doors(listeners: Iterable[Listener]) -> Doors:
    return frozenset((owner, replace(listener, hosts=(), owners=())) for listener in listeners for owner in listener.owners
                     if owner.startswith("Gateway/"))
