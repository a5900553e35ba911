"""Where a pod may run and what it takes there: the readers the scheduler, the DaemonSet controller and the agent share.

In:    Pods and Nodes as they are on the wire, defaulted.
Out:   amounts, matches, conflicts. Pure.
Spec:  kubernetes.io/docs/concepts/scheduling-eviction/{assign-pod-node,taint-and-toleration}; KEP-753 (sidecars in sums).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wherry.kit.reserved import Reserved
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object, labels_of, name_of

ANY_ADDRESS = "0.0.0.0"  # noqa: S104
HostPort = tuple[str, str, int]  # (host IP, protocol, port)


def amount_of(resource: str, text: str) -> int:
    """Millis for cpu, whole units for everything else."""
    return quantity.milli(text) if resource == "cpu" else quantity.value(text)


def requests_of(pod: Object) -> dict[str, int]:
    """What the pod takes from its node: sidecars and containers, or the largest init step, plus overhead."""
    spec = pod.get("spec") or {}
    sidecars: dict[str, int] = {}
    largest: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        wanted = _container_requests(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, wanted)
            _raise_to(largest, sidecars)
        else:
            _raise_to(largest, _sum(sidecars, wanted))
    running = dict(sidecars)
    for container in spec.get("containers") or ():
        _add(running, _container_requests(container))
    _raise_to(running, largest)
    pod_level = spec.get("resources") or {}
    running.update(_amounts({**(pod_level.get("limits") or {}), **(pod_level.get("requests") or {})}))
    _add(running, _amounts(spec.get("overhead") or {}))
    return running


def matches_node(pod: Object, node: Object) -> bool:
    """nodeSelector and required node affinity."""
    spec = pod.get("spec") or {}
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or selector_matches(required, node)


def selector_matches(node_selector: Mapping[str, Any], node: Object) -> bool:
    """core/v1 NodeSelector: one of its terms."""
    return any(term_matches(term, node) for term in node_selector.get("nodeSelectorTerms") or ())


def term_matches(term: Mapping[str, Any], node: Object) -> bool:
    """All expressions and fields of one NodeSelectorTerm; an empty term matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    labels, in_fields = labels_of(node), {"metadata.name": name_of(node)}
    return all(_holds(e, labels) for e in expressions) and all(_holds(f, in_fields) for f in fields)


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = requirement.get("key", ""), requirement.get("values") or ()
    found = labels.get(key)
    match requirement.get("operator"):
        case "In":
            return found in values
        case "NotIn":
            return found not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            return len(values) == 1 and _compares(operator, str(found or ""), str([*values][0]))
    return False


def tolerates(tolerations: Iterable[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    """One of the tolerations covers the taint."""
    return any(_covers(toleration, taint) for toleration in tolerations)


def _covers(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    theirs, ours = str(taint.get("value") or ""), str(toleration.get("value") or "")
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.get("key")) and theirs == ours
        case "Gt" | "Lt" as operator:
            return _compares(operator, theirs, ours)
    return False


def _compares(operator: str, left: str, right: str) -> bool:
    """Whole numbers only; anything else never compares."""
    try:
        return int(left) > int(right) if operator == "Gt" else int(left) < int(right)
    except ValueError:
        return False


def untolerated_taint(pod: Object, node: Object, effects: tuple[str, ...]) -> Mapping[str, Any] | None:
    """The first taint of the node with one of `effects` that the pod does not tolerate."""
    tolerations = (pod.get("spec") or {}).get("tolerations") or ()
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint.get("effect") in effects and not tolerates(tolerations, taint):
            return dict(taint)
    return None


def host_ports(pod: Object) -> Iterator[HostPort]:
    """The ports of the node that the pod takes."""
    spec = pod.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in (*sidecars, *(spec.get("containers") or ())):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else None)
            if number:
                yield (port.get("hostIP") or ANY_ADDRESS, port.get("protocol") or "TCP", int(number))


def reserved_ports(pod: Object, reserved: Reserved) -> Iterator[tuple[str, str, str]]:
    """(field, value, owner) of every hostPort that is not the pod's to take.

    With hostNetwork a hostPort redirects nothing: the process either gets the port or finds it taken.
    """
    spec = pod.get("spec") or {}
    if spec.get("hostNetwork"):
        return
    for kind in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(kind) or ()):
            for index, port in enumerate(container.get("ports") or ()):
                path, number = f"spec.{kind}[{place}].ports[{index}]", int(port.get("hostPort") or 0)
                if owner := reserved.port_owner(port.get("protocol") or "TCP", number):
                    yield f"{path}.hostPort", str(number), owner
                host_ip = str(port.get("hostIP") or "")
                if number and str(host_ip) in map(str, reserved.plain_addresses()):
                    yield f"{path}.hostIP", host_ip, reserved.address_owner(host_ip)


def reserved_port(pod: Object, reserved: Reserved) -> str:
    """The first of them in words, "" when there is none."""
    return next((f"{path}: {value} is reserved for {owner}" for path, value, owner in reserved_ports(pod, reserved)), "")


def ports_clash(one: HostPort, two: HostPort) -> bool:
    """Same protocol and number, on the same or on any address."""
    return one[1:] == two[1:] and (one[0] == two[0] or ANY_ADDRESS in (one[0], two[0]))


def _container_requests(container: Mapping[str, Any]) -> dict[str, int]:
    resources = container.get("resources") or {}
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(texts: Mapping[str, str]) -> dict[str, int]:
    return {resource: amount_of(resource, text) for resource, text in texts.items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def _sum(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    total = dict(one)
    _add(total, two)
    return total


def _raise_to(total: dict[str, int], other: Mapping[str, int]) -> None:
    for resource, amount in other.items():
        total[resource] = max(total.get(resource, 0), amount)
