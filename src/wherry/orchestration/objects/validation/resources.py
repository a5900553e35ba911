"""Checks of resource lists: names, quantities, and requests against limits.

Spec: pkg/apis/core/validation, "ValidateContainerResourceRequirements"; resource names as in the Kubernetes documentation.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from wherry.orchestration.objects import quantity
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.validation import names
from wherry.orchestration.objects.validation.causes import Causes

STANDARD_CONTAINER = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"
_NATIVE_DOMAIN = "kubernetes.io/"


def check_requirements(resources: Object | None, path: str, found: Causes) -> None:
    """`limits` and `requests` of a container (or a pod)."""
    if not resources:
        return
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    limit_values = _check_list(limits, f"{path}.limits", found)
    request_values = _check_list(requests, f"{path}.requests", found)
    for name, request in request_values.items():
        _check_against_limit(name, request, requests[name], limit_values, limits, f"{path}.requests", found)
    _check_claims(resources.get("claims") or (), f"{path}.claims", found)


def check_amount(name: str, amount: Any, path: str, found: Causes) -> Fraction:
    """Not negative; whole for anything but cpu-like resources."""
    value = quantity.parse(amount)
    if value < 0:
        found.invalid(path, amount, "must be greater than or equal to 0")
    if is_whole_only(name) and value.denominator != 1:
        found.invalid(path, amount, "must be an integer")
    return value


def is_whole_only(name: str) -> bool:
    """Object counts and extended resources come in whole units."""
    return "/" in name and not name.startswith(_NATIVE_DOMAIN)


def is_extended(name: str) -> bool:
    """A resource of a device plugin: it has a domain that is not Kubernetes' own."""
    return "/" in name and not name.startswith("requests.") and ".kubernetes.io/" not in f".{name}"


def _check_list(amounts: Mapping[str, Any], path: str, found: Causes) -> dict[str, Fraction]:
    values: dict[str, Fraction] = {}
    for name, amount in amounts.items():
        place = f"{path}[{name}]"
        wrong = names.qualified_wrong(name)
        found.invalid_each(path, name, wrong)
        if not wrong and "/" not in name and name not in STANDARD_CONTAINER and not name.startswith(_HUGE_PAGES):
            found.invalid(path, name, "must be a standard resource for containers")
        values[name] = check_amount(name, amount, place, found)
    return values


def _check_against_limit(
    name: str, request: Fraction, written: Any, limit_values: Mapping[str, Fraction], limits: Mapping[str, Any],
    path: str, found: Causes,
) -> None:
    can_overcommit = not is_extended(name) and not name.startswith(_HUGE_PAGES)
    if name not in limit_values:
        if not can_overcommit:
            found.required(path.replace(".requests", ".limits"), "Limit must be set for non overcommitable resources")
        return
    if not can_overcommit and request != limit_values[name]:
        found.invalid(path, written, f"must be equal to {name} limit of {limits[name]}")
    elif request > limit_values[name]:
        found.invalid(path, written, f"must be less than or equal to {name} limit of {limits[name]}")


def _check_claims(claims: Any, path: str, found: Causes) -> None:
    seen: set[tuple[str, str]] = set()
    for index, claim in enumerate(claims):
        name = claim.get("name") or ""
        if not name:
            found.required(f"{path}[{index}]")
        elif (key := (name, claim.get("request") or "")) in seen:
            found.duplicate(f"{path}[{index}]", name)
        else:
            seen.add(key)
