"""One route of the model as Envoy's `config.route.v3.Route`.

Spec:  Envoy 1.40 route_components.proto; Gateway API v1 HTTPPathModifier (the table of prefix replacements).
Promise: header names, expressions and codes are checked by the dialects; nothing here can fail.
"""

import re

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2 as pb
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb2
from google.protobuf.duration_pb2 import Duration

from wherry.application.gateway.model.values import (
    NO_CHANGE,
    Answer,
    Forward,
    HeaderChange,
    Mirror,
    PathKind,
    PathMatch,
    Redirect,
    Rewrite,
    Route,
    RouteMatch,
    Target,
    ValueMatch,
)

# A cluster that never exists: what is sent to it gets `cluster_not_found_response_code`.
NOWHERE = "wherry.nowhere"
CLIENTS_FILTER = "envoy.filters.http.rbac"  # lets everybody pass where a route has no configuration of its own
RETRY_ON = "connect-failure,refused-stream,reset-before-request"  # nothing of the request has been worked on
RETRIES = 2
REDIRECT_CODES = {301: 0, 302: 1, 303: 2, 307: 3, 308: 4}
_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_APPEND = base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


def envoy_route(route: Route) -> pb.Route:
    """The route, complete."""
    out = pb.Route(name=route.name, match=_match(route.match))
    action = route.action
    if isinstance(action, Redirect):
        out.redirect.CopyFrom(_redirect(action, route.match.path))
    elif isinstance(action, Forward) and any(target.backend and target.weight > 0 for target in action.targets):
        out.route.CopyFrom(_forward(action, route.match.path))
    else:
        answer = action if isinstance(action, Answer) else Answer(500, "no backend of this route can be used\n")
        out.direct_response.status = answer.code
        if answer.body:
            out.direct_response.body.inline_string = answer.body
    _change_request(out, route.request_headers)
    _change_response(out, route.response_headers)
    if route.allowed or route.denied:
        out.typed_per_filter_config[CLIENTS_FILTER].Pack(_clients(route))
    return out


def _clients(route: Route) -> rbac_filter_pb2.RBACPerRoute:
    """Only the address of the connection counts: what a client writes into a header lets nobody in."""
    out = rbac_filter_pb2.RBACPerRoute()
    out.rbac.rules.action = rbac_pb2.RBAC.ALLOW
    policy = out.rbac.rules.policies["clients"]
    policy.permissions.add(any=True)
    both = policy.principals.add().and_ids
    if route.allowed:
        _networks(both.ids.add().or_ids, route.allowed)
    if route.denied:
        _networks(both.ids.add().not_id.or_ids, route.denied)
    return out


def _networks(out: rbac_pb2.Principal.Set, networks: tuple[str, ...]) -> None:
    for network in networks:
        address, _, length = network.partition("/")
        out.ids.add().direct_remote_ip.MergeFrom(address_pb2.CidrRange(address_prefix=address, prefix_len={"value": int(length)}))


def _match(match: RouteMatch) -> pb.RouteMatch:
    out = pb.RouteMatch()
    if match.path.kind is PathKind.EXACT:
        out.path = match.path.value
    elif match.path.kind is PathKind.REGEX:
        out.safe_regex.regex = match.path.value
    elif match.path.value == "/":
        out.prefix = "/"
    else:
        out.path_separated_prefix = match.path.value
    for header in ((ValueMatch(":method", match.method),) if match.method else ()) + match.headers:
        _value(out.headers.add(name=header.name).string_match, header)
    for query in match.queries:
        _value(out.query_parameters.add(name=query.name).string_match, query)
    return out


def _value(out: object, wanted: ValueMatch) -> None:
    if wanted.is_regex:
        out.safe_regex.regex = wanted.value  # type: ignore[attr-defined]
    else:
        out.exact = wanted.value  # type: ignore[attr-defined]


def _forward(action: Forward, path: PathMatch) -> pb.RouteAction:
    out = pb.RouteAction(timeout=_duration(action.timeout_s), cluster_not_found_response_code=2)
    targets = [target for target in action.targets if target.weight > 0]
    if len(targets) == 1 and targets[0].backend and _is_plain(targets[0]):
        out.cluster = targets[0].backend.name
    else:
        for target in targets:
            out.weighted_clusters.clusters.append(_weighted(target))
    if action.try_timeout_s:
        out.retry_policy.CopyFrom(retry_policy())
        out.retry_policy.per_try_timeout.CopyFrom(_duration(action.try_timeout_s))
    out.request_mirror_policies.extend(_mirror(mirror) for mirror in action.mirrors)
    _rewrite(out, action.rewrite, path)
    return out


def retry_policy() -> pb.RetryPolicy:
    """Try another endpoint when the first has not begun with the request."""
    policy = pb.RetryPolicy(retry_on=RETRY_ON, host_selection_retry_max_attempts=3)
    policy.num_retries.value = RETRIES
    previous = policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")
    previous.typed_config.type_url = (
        "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    )
    return policy


def _is_plain(target: Target) -> bool:
    return target.request_headers == NO_CHANGE and target.response_headers == NO_CHANGE


def _weighted(target: Target) -> pb.WeightedCluster.ClusterWeight:
    out = pb.WeightedCluster.ClusterWeight(name=target.backend.name if target.backend else NOWHERE)
    out.weight.value = target.weight
    _change_request(out, target.request_headers)
    _change_response(out, target.response_headers)
    return out


def _mirror(mirror: Mirror) -> pb.RouteAction.RequestMirrorPolicy:
    out = pb.RouteAction.RequestMirrorPolicy(cluster=mirror.backend.name)
    out.runtime_fraction.default_value.numerator = mirror.parts_per_million
    out.runtime_fraction.default_value.denominator = 2  # MILLION
    return out


def _rewrite(out: pb.RouteAction, rewrite: Rewrite, path: PathMatch) -> None:
    if rewrite.host:
        out.host_rewrite_literal = rewrite.host
    if rewrite.path is not None:
        out.regex_rewrite.pattern.regex = "^/.*$"
        out.regex_rewrite.substitution = _literal(rewrite.path or "/")
    elif rewrite.prefix is not None:
        _replace_prefix(out, rewrite.prefix, path)


def _redirect(action: Redirect, path: PathMatch) -> pb.RedirectAction:
    out = pb.RedirectAction(response_code=REDIRECT_CODES[action.code])
    if action.scheme:
        out.scheme_redirect = action.scheme
    if action.host:
        out.host_redirect = action.host
    if action.port:
        out.port_redirect = action.port
    if action.path is not None:
        out.path_redirect = action.path or "/"
    elif action.prefix is not None:
        _replace_prefix(out, action.prefix, path)
    return out


def _replace_prefix(out: pb.RouteAction | pb.RedirectAction, prefix: str, path: PathMatch) -> None:
    """Slashes at the end of either prefix do not count, and the result always begins with one slash."""
    new, old = prefix.rstrip("/"), path.value.rstrip("/")
    if not old:
        out.prefix_rewrite = f"{new}/"
    elif new:
        out.prefix_rewrite = new
    else:
        out.regex_rewrite.pattern.regex = f"^{re.escape(old)}/*"
        out.regex_rewrite.substitution = "/"


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\")


def _change_request(out: pb.Route | pb.WeightedCluster.ClusterWeight, change: HeaderChange) -> None:
    _fill(out.request_headers_to_add, change)
    out.request_headers_to_remove.extend(change.remove)


def _change_response(out: pb.Route | pb.WeightedCluster.ClusterWeight, change: HeaderChange) -> None:
    _fill(out.response_headers_to_add, change)
    out.response_headers_to_remove.extend(change.remove)


def _fill(options: object, change: HeaderChange) -> None:
    for entries, action in ((change.set, _OVERWRITE), (change.add, _APPEND)):
        for name, value in entries:
            option = options.add(append_action=action)  # type: ignore[attr-defined]
            option.header.key = name
            # Percent signs begin a variable in Envoy; users of these fields mean them as they are.
            option.header.value = value.replace("%", "%%")


def _duration(seconds: float) -> Duration:
    out = Duration()
    out.FromNanoseconds(round(seconds * 1_000_000_000))
    return out
