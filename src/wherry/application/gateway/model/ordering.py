"""The order of routes on one host, the same for Ingress and HTTPRoute, so that both may share a host.

Spec:  Gateway API v1 HTTPRouteRule.matches: exact path, longest prefix, method, number of headers, number of query
       parameters, oldest, `namespace/name`, first rule. Ingress: exact, longest prefix; its other places are equal.
Choice: regular expressions, which the specification leaves open, come after exact paths and before prefixes, the longer
       expression first. Between dialects that are otherwise equal the lower `rank` wins.
"""

from wherry.application.gateway.model.values import Order, PathKind, RouteMatch
from wherry.orchestration.objects.meta import Object, key_of

GATEWAY_API_RANK = 1
INGRESS_RANK = 2
_KINDS = {PathKind.EXACT: 0, PathKind.REGEX: 1, PathKind.PREFIX: 2}
LAST = 9  # default backends


def order_of(match: RouteMatch, source: Object, *, rank: int, rule: int, index: int = 0, is_default: bool = False) -> Order:
    """The place of one match of one rule of `source`; lower comes first."""
    return (
        LAST if is_default else _KINDS[match.path.kind],
        -len(match.path.value),
        0 if match.method else 1,
        -len(match.headers),
        -len(match.queries),
        rank,
        str((source.get("metadata") or {}).get("creationTimestamp") or ""),
        key_of(source),
        rule,
        index,
    )
