"""What is asked of an authorizer, what it answers, and several of them asked in order.

`rbac.py` and `node_authorizer.py` hold the two there are:
`FirstOf([NodeAuthorizer(source), RbacAuthorizer(source)])` is what the API server asks.

Spec: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#review-your-request-attributes
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wherry.orchestration.apiserver.user import User


@dataclass(frozen=True, slots=True)
class Attributes:
    """One question. Set `path` alone for a non-resource URL; else `resource` and what goes with it.

    `verb` is the API verb (get, list, watch, create, update, patch, delete, deletecollection, proxy, ...), or the
    lower-case HTTP method for a `path`.
    """

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    # metadata.name=X and spec.nodeName=X of a list's field selector; the node authorizer reads them.
    field_selector: tuple[tuple[str, str], ...] = ()

    @property
    def is_resource(self) -> bool:
        """False for a question about a non-resource URL."""
        return not self.path

    @property
    def resource_with_sub(self) -> str:
        """`pods`, `pods/log`: as RBAC rules write it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@dataclass(frozen=True, slots=True)
class Decision:
    """`allowed`, and why. `reason` is for people: it names the binding that allowed, or why a node was refused."""

    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    """Says whether a user may do something. Synchronous: it reads the API server's watch cache only."""

    def authorize(self, attributes: Attributes) -> Decision:
        """Answer at once; never raises for a well-formed question."""


class FirstOf:
    """Allows what any of `authorizers` allows, asked in order; members of system:masters are allowed everything."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    def authorize(self, attributes: Attributes) -> Decision:
        if attributes.user.is_master:
            return Decision(True)
        attributes = _named_by_selector(attributes)
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = authorizer.authorize(attributes)
            if decision.allowed:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(False, "\n".join(reasons))


def _named_by_selector(attributes: Attributes) -> Attributes:
    """A list or watch of `metadata.name=x` asks about x: rules with resourceNames allow it."""
    if attributes.name or not attributes.field_selector:
        return attributes
    name = dict(attributes.field_selector).get("metadata.name", "")
    return replace(attributes, name=name) if name else attributes


def forbidden_message(attributes: Attributes, reason: str = "") -> str:
    """The message of the 403 Status, in upstream's words (without the `pods "x" is forbidden: ` start)."""
    user = attributes.user.name
    if not attributes.is_resource:
        text = f'User "{user}" cannot {attributes.verb} path "{attributes.path}"'
    else:
        place = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
        text = (f'User "{user}" cannot {attributes.verb} resource "{attributes.resource_with_sub}" '
                f'in API group "{attributes.group}" {place}')
    return f"{text}: {reason}" if reason else text
