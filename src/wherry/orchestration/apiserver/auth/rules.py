"""RBAC policy rules: does one allow a request, and does one set of rules cover another.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/rbac/ ; upstream's `RuleAllows` and `Covers`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from wherry.orchestration.apiserver.auth.authorizer import Attributes
from wherry.orchestration.objects.meta import Object, labels_of
from wherry.orchestration.objects.selectors import from_label_selector

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule, ready to match."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    urls: frozenset[str]

    def allows(self, attributes: Attributes) -> bool:
        """True when this rule alone allows the request."""
        if attributes.verb not in self.verbs and ANY not in self.verbs:
            return False
        if not attributes.is_resource:
            return any(url_matches(url, attributes.path) for url in self.urls)
        return (
            (attributes.group in self.groups or ANY in self.groups)
            and self.has_resource(attributes.resource, attributes.subresource)
            and (not self.names or attributes.name in self.names)
        )

    def has_resource(self, resource: str, subresource: str) -> bool:
        """`*` holds everything, `*/scale` that subresource of everything, `pods` no subresource."""
        if ANY in self.resources:
            return True
        if not subresource:
            return resource in self.resources
        return f"{resource}/{subresource}" in self.resources or f"*/{subresource}" in self.resources


def url_matches(pattern: str, path: str) -> bool:
    """`*`, an exact path, or a prefix that ends in `*`."""
    return pattern in (ANY, path) or (pattern.endswith(ANY) and path.startswith(pattern.rstrip(ANY)))


def read_rules(rules: Iterable[Mapping[str, Any]] | None) -> tuple[Rule, ...]:
    """Rules as a Role holds them."""
    return tuple(
        Rule(
            frozenset(rule.get("verbs") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            frozenset(rule.get("nonResourceURLs") or ()),
        )
        for rule in rules or ()
    )


def effective_rules(role: Object, all_cluster_roles: Sequence[Object]) -> list[Object]:
    """The rules of a ClusterRole: its own, or with an aggregation rule those of every role it selects, also in turn.

    What the clusterrole-aggregation controller writes into `rules`; the authorizer computes it too, so that a new
    aggregated role counts at once.
    """
    return _aggregate(role, all_cluster_roles, frozenset())


def _aggregate(role: Object, all_cluster_roles: Sequence[Object], seen: frozenset[str]) -> list[Object]:
    selectors = (role.get("aggregationRule") or {}).get("clusterRoleSelectors")
    name = role["metadata"]["name"]
    if not selectors:
        return list(role.get("rules") or ())
    rules: list[Object] = []
    for selector in map(from_label_selector, selectors):
        for other in all_cluster_roles:
            other_name = other["metadata"]["name"]
            if other_name == name or other_name in seen or not selector.matches(labels_of(other)):
                continue
            for rule in _aggregate(other, all_cluster_roles, seen | {name}):
                if rule not in rules:
                    rules.append(rule)
    return rules


def uncovered(wanted: Iterable[Mapping[str, Any]], held: Sequence[Rule]) -> list[Object]:
    """The single permissions in `wanted` that `held` does not hold, as simple rules."""
    return [simple for rule in wanted for simple in _simple_rules(rule) if not _covers(held, simple)]


def compact(simple_rules: Sequence[Object]) -> list[Object]:
    """Simple rules joined again: those that differ in their verb only become one."""
    joined: dict[str, Object] = {}
    for rule in simple_rules:
        key = repr({name: value for name, value in rule.items() if name != "verbs"})
        if key in joined:
            joined[key]["verbs"] = [*joined[key]["verbs"], *rule["verbs"]]
        else:
            joined[key] = dict(rule)
    return list(joined.values())


def describe(rule: Mapping[str, Any]) -> str:
    """`{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}`, as upstream prints a rule."""
    parts = []
    for key, label in (
        ("apiGroups", "APIGroups"), ("resources", "Resources"), ("nonResourceURLs", "NonResourceURLs"),
        ("resourceNames", "ResourceNames"), ("verbs", "Verbs"),
    ):
        if rule.get(key):
            parts.append(f"{label}:[" + " ".join(f'"{text}"' for text in rule[key]) + "]")
    return "{" + ", ".join(parts) + "}"


def _simple_rules(rule: Mapping[str, Any]) -> Iterator[Object]:
    verbs = rule.get("verbs") or ()
    for group, resource, name, verb in product(
        rule.get("apiGroups") or (), rule.get("resources") or (), rule.get("resourceNames") or (None,), verbs
    ):
        simple: Object = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        yield simple if name is None else simple | {"resourceNames": [name]}
    for url, verb in product(rule.get("nonResourceURLs") or (), verbs):
        yield {"nonResourceURLs": [url], "verbs": [verb]}


def _covers(held: Sequence[Rule], simple: Mapping[str, Any]) -> bool:
    return any(_rule_covers(rule, simple) for rule in held)


def _rule_covers(rule: Rule, simple: Mapping[str, Any]) -> bool:
    verb = simple["verbs"][0]
    if verb not in rule.verbs and ANY not in rule.verbs:
        return False
    if "nonResourceURLs" in simple:
        return any(url_matches(url, simple["nonResourceURLs"][0]) for url in rule.urls)
    group = simple["apiGroups"][0]
    if group not in rule.groups and ANY not in rule.groups:
        return False
    if rule.names and not set(simple.get("resourceNames") or (None,)) <= rule.names:
        return False
    resource, _, subresource = simple["resources"][0].partition("/")
    return simple["resources"][0] in rule.resources or rule.has_resource(resource, subresource)
