"""LimitRanger: containers and claims get the defaults of the namespace's LimitRanges and stay within their bounds.

Spec:  https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from collections.abc import Callable, Iterator

from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import (
    CLAIM_PLACE,
    CREATE,
    ITSELF,
    POD_PLACE,
    AdmissionRequest,
    Plugin,
)
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.kinds import LIMIT_RANGES
from wherry.orchestration.objects.meta import Object, name_of

ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = dict[str, str]


class LimitRanger(Plugin):
    """See the module docstring."""

    places = frozenset({POD_PLACE, CLAIM_PLACE})
    operations = frozenset({CREATE})
    subresources = ITSELF

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    async def admit(self, request: AdmissionRequest) -> None:
        if request.place == POD_PLACE:
            for item in self._items(request.namespace, "Container"):
                _default_containers(request.new, item)

    async def validate(self, request: AdmissionRequest) -> None:
        problems: list[str] = []
        if request.place == POD_PLACE:
            self._check_pod(request.namespace, request.new, problems)
        else:
            for item in self._items(request.namespace, "PersistentVolumeClaim"):
                amounts = ((request.new.get("spec") or {}).get("resources") or {}).get("requests") or {}
                _check_bounds(item, "PersistentVolumeClaim", amounts, amounts, problems)
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise errors.forbidden(request.resource, request.name, text)

    def _items(self, namespace: str, kind: str) -> Iterator[Object]:
        for limit_range in sorted(self._source.list(LIMIT_RANGES, namespace), key=name_of):
            yield from (i for i in limit_range.get("spec", {}).get("limits") or () if i.get("type") == kind)

    def _check_pod(self, namespace: str, pod: Object, problems: list[str]) -> None:
        spec = pod["spec"]
        for item in self._items(namespace, "Container"):
            for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
                resources = container.get("resources") or {}
                _check_bounds(item, "Container", resources.get("requests") or {}, resources.get("limits") or {}, problems)
        for item in self._items(namespace, "Pod"):
            _check_bounds(item, "Pod", _total(spec, "requests"), _total(spec, "limits"), problems)


def _default_containers(pod: Object, item: Object) -> None:
    told: list[str] = []
    for container in [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]:
        resources = container.setdefault("resources", {})
        for side, values in (("limits", item.get("default") or {}), ("requests", item.get("defaultRequest") or {})):
            for name, amount in values.items():
                if name not in (resources.get(side) or {}):  # a limit of the Pod's own is a request already (defaulting)
                    resources.setdefault(side, {})[name] = amount
                    told.append(f"{name} {side[:-1]} for container {container.get('name', '')}")
    if told:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[ANNOTATION] = f"LimitRanger plugin set: {'; '.join(told)}"


def _total(spec: Object, side: str) -> Amounts:
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
            total[name] = total.get(name, 0) + quantity.milli(amount)
    for container in spec.get("initContainers") or ():
        for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
            total[name] = max(total.get(name, 0), quantity.milli(amount))
    return {name: f"{amount}m" for name, amount in total.items()}


def _check_bounds(item: Object, kind: str, requests: Amounts, limits: Amounts, problems: list[str]) -> None:
    for name, bound in (item.get("min") or {}).items():
        _compare(problems, name, bound, requests, limits, kind, "minimum", "request", lambda a, b: a < b)
    for name, bound in (item.get("max") or {}).items():
        amounts = limits if kind != "PersistentVolumeClaim" else requests
        _compare(problems, name, bound, amounts, amounts, kind, "maximum", "limit", lambda a, b: a > b)
    for name, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        request, limit = requests.get(name), limits.get(name)
        if request is None or limit is None or not quantity.milli(request):
            problems.append(f"{name} max limit to request ratio per {kind} is {ratio}, but no request is specified or request is 0")
        elif quantity.milli(limit) / quantity.milli(request) > quantity.milli(ratio) / 1000:
            actual = quantity.milli(limit) / quantity.milli(request)
            problems.append(f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is {actual:f}")


def _compare(
    problems: list[str], name: str, bound: str, requests: Amounts, limits: Amounts, kind: str, word: str, side: str,
    is_wrong: Callable[[int, int], bool],
) -> None:
    amount = (requests if side == "request" else limits).get(name)
    if amount is None:
        problems.append(f"{word} {name} usage per {kind} is {bound}.  No {side} is specified")
    elif is_wrong(quantity.milli(amount), quantity.milli(bound)):
        problems.append(f"{word} {name} usage per {kind} is {bound}, but {side} is {amount}")
