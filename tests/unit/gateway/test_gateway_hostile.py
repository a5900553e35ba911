"""No object that a user can store ends the control loop: parts may be missing, empty or strange."""

import copy
from typing import Any

import pytest
from gateway_objects import gateway, http_route, ingress, listener, rule, service, slice_of, snapshot, to
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.application.gateway.compiler import Compiler
from wherry.application.gateway.dialects.gateway_api.dialect import GatewayApiDialect
from wherry.application.gateway.dialects.ingress import IngressDialect
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.xds.resources import Builder
from wherry.kit.clock import SystemClock
from wherry.orchestration.objects.meta import Object

STRANGE = st.sampled_from(["", "/", "\x00", "é" * 70, "*", "*.*", "a" * 300, "%", "{", "(", "0", "-1", "🛶"])
FILTERS = [
    {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "b"}], "remove": ["c"]}},
    {"type": "URLRewrite", "urlRewrite": {"hostname": "x.test", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/y"}}},
    {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web", "port": 80}, "percent": 10}},
]
REDIRECT = [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "port": 1, "statusCode": 301,
                                                            "path": {"type": "ReplaceFullPath", "replaceFullPath": "/z"}}}]
MATCH = {"path": {"type": "PathPrefix", "value": "/a"}, "method": "GET", "headers": [{"name": "h", "type": "Exact", "value": "v"}],
         "queryParams": [{"name": "q", "type": "RegularExpression", "value": "[0-9]+"}]}
OBJECTS: tuple[Object, ...] = (
    gateway("gw", listener(hostname="*.test", allowedRoutes={"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}},
                                                             "kinds": [{"group": "x", "kind": "HTTPRoute"}]}),
            listener("https", 443, "HTTPS", tls={"mode": "Terminate", "certificateRefs": [{"name": "cert", "namespace": "other"}]}),
            listener("open", 8080)),
    http_route("web", {"matches": [MATCH], "filters": FILTERS, "backendRefs": [{"name": "web", "port": 80, "weight": 2, "filters": FILTERS[:1]}],
                       "timeouts": {"request": "1s", "backendRequest": "500ms"}}, hostnames=("a.test",)),
    http_route("redirect", {"matches": [MATCH], "filters": REDIRECT}, to("web"), parent={"name": "gw", "sectionName": "open", "port": 8080}),
    ingress("web", rule("a.test", ("Prefix", "/", "web")), tls=[{"hosts": ["a.test"], "secretName": "cert"}],
            defaultBackend={"service": {"name": "web", "port": {"name": "p80"}}}),
    service("web", 80),
    slice_of("web", "10.0.0.1", ready=True),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside an object but its metadata."""
    found = []
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inside:
        if path or key not in ("metadata", "kind"):
            found += [(*path, key), *places(entry, (*path, key))]
    return found


@st.composite
def spoiled(draw: st.DrawFn) -> list[Object]:
    """The objects with up to four places removed, emptied or, where they hold text, replaced."""
    objects = copy.deepcopy([*OBJECTS])
    for _ in range(draw(st.integers(1, 4))):
        obj = draw(st.sampled_from(objects))
        known = places(obj)
        if not known:
            continue
        *way, last = draw(st.sampled_from(known))
        holder = obj
        for key in way:
            holder = holder[key]
        if isinstance(holder[last], str) and draw(st.booleans()):
            holder[last] = draw(STRANGE)
        elif isinstance(holder[last], dict | list) and draw(st.booleans()):
            holder[last] = type(holder[last])()
        else:
            del holder[last]
    return objects


@settings(max_examples=200, deadline=None)
@given(spoiled())
@pytest.mark.slow
def test_no_object_ends_the_control_loop(objects: list[Object]) -> None:
    compiler = Compiler([IngressDialect(("192.0.2.1",)), GatewayApiDialect(("192.0.2.1",))], SystemClock().now)
    compiled = compiler.compile(snapshot(*objects))
    Builder(GatewaySettings(run_dir=None)).build(compiled.model)  # type: ignore[arg-type]
