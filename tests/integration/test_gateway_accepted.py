"""Whatever the dialects let through, Envoy accepts: nobody's route may hold back the others on a port."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from gateway_rig import tls_secret

from wherry.application.gateway.dialects.gateway_api.filters import filters_of
from wherry.application.gateway.dialects.gateway_api.matches import match_of
from wherry.application.gateway.model.values import (
    Backend,
    Forward,
    GatewayModel,
    Listener,
    Protocol,
    Route,
    Secret,
    Target,
    VirtualHost,
)
from wherry.application.gateway.xds.resources import Builder
from wherry.kit.errors import Invalid, Unsupported
from wherry.testing.envoy import control_plane, envoy_settings, running_envoy, wait_until_ready

pytestmark = pytest.mark.cluster

EXPRESSIONS = (
    r"/a.*", r"/[^/]+/x", r"/(?P<id>\d+)/\w{1,100}", r"/(?:a|b|c){1,30}", r"(?i)/abc", r"/\x41\.\-\/", r"/a??b*?", r"\A/a", "/[[:alpha:]]",
    r"/a$|^/b", r"/(a{1,60}){1,60}", r"/(a{1,9}b{1,9}){1,40}", r"/\bword\b", r"/[\b]", r"/[\d\-x]+", r"/(?#c)a", r"/(?x)a", r"/\Z", r"/\z",
    r"/\u0041", r"/é+", r"/[a-é]", r"/a{,5}", r"/a{5}", r"/x{1001}", "/" + "(a|b)?" * 150, "/" + "[0-9]{1,3}" * 20, r"/\p{Greek}", r"/\07", r"/a|", "(/a)(/b)?(/c)?",
    "/[]a]", "/[^]a]", "/a{1", "/a}", "/{id}", r"/\n", "/(?s).", "/(?im:x)", "/(?-i:x)", "/(?P<a>x)(?P<a>y)",
)
NAMES = ("x", "X-Ok_1", ":authority", ":path", "a b", "a:b", "é", "", "x" * 300, "host", "Content-Length", "x\ny")
VALUES = ("v", "", "100%", "%REQ(x)%", "a\tb", "a\nb", "\x00", "é", "x" * 5000)
PATHS = ("/", "/a", "/a/", "/a//b", "/a?b", "/a#b", "a", "", "/é", "/%2F", "/a b", "/\x7f", "/" + "a" * 2000, "//", "/*", "/{x}", "/a;b")


def candidates() -> list[dict[str, Any]]:
    """Rules as users might write them, most of them wrong in some way."""
    found: list[dict[str, Any]] = []
    for expression in EXPRESSIONS:
        found.append({"match": {"path": {"type": "RegularExpression", "value": expression}}})
        found.append({"match": {"headers": [{"name": "x", "type": "RegularExpression", "value": expression}]}})
        found.append({"match": {"queryParams": [{"name": "x", "type": "RegularExpression", "value": expression}]}})
    for path in PATHS:
        found += [{"match": {"path": {"type": kind, "value": path}}} for kind in ("Exact", "PathPrefix")]
        for kind, key in (("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch")):
            found.append({"filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": kind, key: path}}}]})
            found.append({"filters": [{"type": "RequestRedirect", "requestRedirect": {"path": {"type": kind, key: path}}}]})
    for name in NAMES:
        found.append({"match": {"headers": [{"name": name, "value": "v"}]}})
        found.append({"match": {"queryParams": [{"name": name, "value": "v"}]}})
        found.append({"filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [name]}}]})
        found.append({"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": name}}]})
        found.append({"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": name}}]})
    for value in VALUES:
        found.append({"match": {"headers": [{"name": "x", "value": value}]}})
        found.append({"match": {"queryParams": [{"name": "x", "value": value}]}})
        for kind, key in (("RequestHeaderModifier", "requestHeaderModifier"), ("ResponseHeaderModifier", "responseHeaderModifier")):
            found.append({"filters": [{"type": kind, key: {"set": [{"name": "x", "value": value}], "add": [{"name": "y", "value": value}]}}]})
    return found


def accepted() -> list[Route]:
    """The routes of all candidates that the dialect lets through."""
    target = Target(Backend("default", "web", 80))
    found = []
    for number, candidate in enumerate(candidates()):
        try:
            match = match_of(candidate.get("match", {"path": {"value": f"/{number}"}}))
            filters = filters_of(candidate.get("filters", ()), lambda _: None)
        except (Invalid, Unsupported):
            continue
        action = filters.redirect or Forward((target,), filters.rewrite)
        found.append(Route(str(candidate), (number,), match, action, filters.request_headers, filters.response_headers))
    return found


async def test_every_route_the_dialect_accepts_is_accepted_by_envoy() -> None:
    routes = accepted()
    assert 100 < len(routes) < len(candidates())
    # A table per route, so that a refusal names its route.
    listeners = tuple(
        Listener(443, Protocol.HTTPS, f"h{number}.test", ("default/cert",), hosts=(VirtualHost(f"h{number}.test", (route,)),), owners=(route.name,))
        for number, route in enumerate(routes)
    )
    data = tls_secret("cert", "h.test")["stringData"]
    secret = Secret("default/cert", data["tls.crt"].encode(), data["tls.key"].encode())
    with TemporaryDirectory(prefix="wherry-gw-") as folder:
        settings = envoy_settings(Path(folder))
        async with control_plane(settings) as feed, running_envoy(settings):
            feed.publish(Builder(settings).build(GatewayModel(listeners, ((Backend("default", "web", 80), ()),), (secret,))))
            async with asyncio.timeout(30):
                await wait_until_ready(settings)
                await feed.wait_applied()
            owners = feed.current.owners if feed.current else {}
            refused = {owners[key]: message[:200] for key, message in feed.rejections.items() if len(owners[key]) == 1}
            assert refused == {} and feed.rejections == {}
