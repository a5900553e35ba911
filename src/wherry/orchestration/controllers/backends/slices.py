"""From the slices there are to the slices there should be, with as few writes as can be: pure.

In:    existing EndpointSlices of one owner and one address type; wanted endpoints grouped by their ports.
Out:   slices to create, update and delete.
Spec:  Kubernetes staging/src/k8s.io/endpointslice/reconciler.go: what stays keeps its place; slices that change anyway
       are filled first, then one that has room, then new ones; a Service without endpoints keeps one empty slice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from wherry.orchestration.controllers.backends.triggers import LAST_CHANGE
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES
from wherry.orchestration.objects.meta import Object, annotations_of, labels_of, name_of
from wherry.orchestration.objects.well_known import LABEL_SERVICE_NAME

ENDPOINTS_MAX = 100  # per slice; upstream's --max-endpoints-per-slice
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


@dataclass(frozen=True, slots=True)
class Template:
    """What all slices of an owner have in common. `owner` is its controller reference."""

    namespace: str
    prefix: str
    address_type: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    owner: Object
    trigger: str = ""
    endpoints_max: int = ENDPOINTS_MAX

    def of(self, ports: Sequence[Object], endpoints: Sequence[Object]) -> Object:
        """A new slice."""
        return {
            "apiVersion": ENDPOINT_SLICES.api_version, "kind": ENDPOINT_SLICES.kind,
            "metadata": {
                "generateName": self.prefix, "namespace": self.namespace, "labels": dict(self.labels),
                "annotations": self._annotations(), "ownerReferences": [self.owner],
            },
            "addressType": self.address_type, "ports": list(ports), "endpoints": list(endpoints),
        }  # fmt: skip

    def changed(self, old: Object, endpoints: Sequence[Object]) -> Object:
        """`old` with other endpoints."""
        metadata = {**old["metadata"], "labels": dict(self.labels), "annotations": self._annotations()}
        return {**old, "metadata": metadata, "endpoints": list(endpoints)}

    def recycled(self, old: Object, new: Object) -> Object:
        """`old` under its name, with everything else of `new`."""
        metadata = {**old["metadata"], "labels": dict(self.labels), "annotations": self._annotations()}
        return {**new, "metadata": metadata}

    def fits(self, old: Object) -> bool:
        """True when labels and annotations are as they should be; the trigger time alone is no reason to write."""
        annotations = {name: value for name, value in annotations_of(old).items() if name != LAST_CHANGE}
        return labels_of(old) == dict(self.labels) and annotations == dict(self.annotations)

    def _annotations(self) -> dict[str, str]:
        return {**self.annotations, **({LAST_CHANGE: self.trigger} if self.trigger else {})}


@dataclass(slots=True)
class SlicePlan:
    """What to write."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


@dataclass(slots=True)
class _Kept:
    old: Object
    endpoints: list[Object]
    is_changed: bool


@dataclass(slots=True)
class Wanted:
    """Endpoints by their ports. `add` keeps the order; an address twice with the same ports counts once."""

    groups: dict[bytes, tuple[list[Object], dict[tuple[str, ...], Object]]] = field(default_factory=dict)

    def add(self, ports: list[Object], endpoint: Object) -> None:
        """One more endpoint."""
        group = self.groups.setdefault(ports_key(ports), (ports, {}))
        group[1].setdefault(identity(endpoint), endpoint)


def ports_key(ports: Iterable[Object] | None) -> bytes:
    """Equal for equal sets of ports, whatever their order and defaults."""
    rows = [
        (p.get("name") or "", p.get("protocol") or "TCP", p.get("port") or 0, p.get("appProtocol") or "") for p in ports or ()
    ]
    return orjson.dumps(sorted(rows))


def identity(endpoint: Object) -> tuple[str, ...]:
    """An endpoint is the same one when address and pod are."""
    target = endpoint.get("targetRef") or {}
    return (endpoint["addresses"][0], str(target.get("uid", "")), str(target.get("name", "")))


def plan(existing: Sequence[Object], wanted: Wanted, template: Template, *, keep_one: bool) -> SlicePlan:
    """`keep_one`: leave or make one empty slice when there are no endpoints at all."""
    result = SlicePlan()
    by_ports: dict[bytes, list[Object]] = {}
    for old in sorted(existing, key=name_of):
        by_ports.setdefault(ports_key(old.get("ports")), []).append(old)
    empty: list[Object] = []
    for key, olds in by_ports.items():
        if key not in wanted.groups:
            empty += olds
    for key, (ports, endpoints) in wanted.groups.items():
        empty += _plan_group(by_ports.get(key, []), ports, dict(endpoints), template, result)
    if keep_one and not wanted.groups:
        placeholder = next((old for old in empty if not old.get("ports")), None)
        if placeholder is None:
            result.create.append(template.of([], []))
        else:
            empty.remove(placeholder)
            if placeholder.get("endpoints") or not template.fits(placeholder):
                result.update.append(template.changed(placeholder, []))
    while result.create and empty:  # recycled: one write instead of two
        result.update.append(template.recycled(empty.pop(), result.create.pop()))
    result.delete += empty
    return result


def _plan_group(
    olds: list[Object], ports: list[Object], missing: dict[tuple[str, ...], Object], template: Template, result: SlicePlan
) -> list[Object]:
    """Plan one set of ports into `result`; returns the slices that became empty. Takes endpoints out of `missing`."""
    kept = [_keep(old, missing, template) for old in olds]
    rest = list(missing.values())
    rest = _fill([slice_ for slice_ in kept if slice_.is_changed], rest, template.endpoints_max)
    if rest:
        # The fullest one with room for all of it, so that no slice is touched for a part.
        roomy = [k for k in kept if not k.is_changed and len(k.endpoints) + len(rest) <= template.endpoints_max]
        if roomy:
            rest = _fill([max(roomy, key=lambda k: len(k.endpoints))], rest, template.endpoints_max)
    while rest:
        result.create.append(template.of(ports, rest[: template.endpoints_max]))
        rest = rest[template.endpoints_max :]
    for slice_ in kept:
        if slice_.endpoints and slice_.is_changed:
            result.update.append(template.changed(slice_.old, slice_.endpoints))
    return [slice_.old for slice_ in kept if not slice_.endpoints]


def _keep(old: Object, missing: dict[tuple[str, ...], Object], template: Template) -> _Kept:
    found = [endpoint for endpoint in old.get("endpoints") or () if endpoint.get("addresses")]
    endpoints = [new for endpoint in found if (new := missing.pop(identity(endpoint), None)) is not None]
    is_changed = endpoints != (old.get("endpoints") or []) or not template.fits(old)
    return _Kept(old, endpoints, is_changed)


def _fill(slices: Sequence[_Kept], rest: list[Object], limit: int) -> list[Object]:
    for slice_ in slices:
        room = limit - len(slice_.endpoints)
        if not slice_.endpoints or room <= 0 or not rest:
            # An emptied slice goes unless there is nothing else to fill: see the last line.
            continue
        slice_.endpoints += rest[:room]
        slice_.is_changed = True
        rest = rest[room:]
    for slice_ in slices:
        if rest and not slice_.endpoints:
            slice_.endpoints, rest = rest[:limit], rest[limit:]
            slice_.is_changed = True
    return rest


def of_owner(slices: Iterable[Object], manager: str, service: str) -> list[Object]:
    """The slices that `manager` keeps for a Service name."""
    return [s for s in slices if labels_of(s).get(MANAGED_BY) == manager and labels_of(s).get(LABEL_SERVICE_NAME) == service]
