"""What routes mean, asked of a real Envoy: one gateway, many requests."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from gateway_rig import Answer, gateway, gateway_rig, http_route, ingress, rule, tls_request, tls_secret, to

pytestmark = pytest.mark.cluster

WHO = "backend"


def header(kind: str, **changes: Any) -> dict[str, Any]:
    name = {"RequestHeaderModifier": "requestHeaderModifier", "ResponseHeaderModifier": "responseHeaderModifier",
            "RequestRedirect": "requestRedirect", "URLRewrite": "urlRewrite"}[kind]
    return {"type": kind, name: changes}


def replace_prefix(value: str) -> dict[str, Any]:
    return header("URLRewrite", path={"type": "ReplacePrefixMatch", "replacePrefixMatch": value})


ROUTES = (
    http_route(
        "paths",
        to("one", path="/exact", kind="Exact"),
        to("two", path="/exact"),
        to("one", path="/v[0-9]+/items", kind="RegularExpression"),
        to("two", path="/"),
        {"matches": [{"path": {"type": "PathPrefix", "value": "/m"}, "method": "POST"}], "backendRefs": [{"name": "one", "port": 80}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/m"}, "headers": [{"name": "X-Version", "value": "2"}]}],
         "backendRefs": [{"name": "one", "port": 80}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/m"},
                      "queryParams": [{"name": "q", "type": "RegularExpression", "value": "[0-9]+"}]}],
         "backendRefs": [{"name": "one", "port": 80}]},
        *(to("one", path=f"/many/{n}") for n in range(5)),
    ),
    http_route(
        "rewrites",
        to("one", path="/foo", filters=[replace_prefix("/xyz")]),
        to("one", path="/bar", filters=[replace_prefix("/")]),
        to("one", path="/full", filters=[header("URLRewrite", hostname="new.test",
                                                path={"type": "ReplaceFullPath", "replaceFullPath": r"/new\1"})]),
        to("one", path="/headers", filters=[
            header("RequestHeaderModifier", set=[{"name": "x-set", "value": "100%"}], add=[{"name": "x-add", "value": "b"}],
                   remove=["x-gone"]),
            header("ResponseHeaderModifier", set=[{"name": "x-answer", "value": "1"}], remove=["x-from-backend"])]),
        {"matches": [{"path": {"type": "PathPrefix", "value": "/slow"}}], "backendRefs": [{"name": "one", "port": 80}],
         "timeouts": {"request": "200ms"}},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/half"}}],
         "backendRefs": [{"name": "one", "port": 80}, {"name": "gone", "port": 80}]},
        to("gone", path="/gone"),
        to("empty", path="/empty"),
        hosts=("b.test",),
    ),
    http_route("root", to("one", path="/", filters=[replace_prefix("/xyz")]), hosts=("root.test",)),
    http_route(
        "redirects",
        {"matches": [{"path": {"type": "PathPrefix", "value": "/https"}}],
         "filters": [header("RequestRedirect", scheme="https", statusCode=301)]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/old"}}], "filters": [header(
            "RequestRedirect", hostname="else.test", port=8443, statusCode=308,
            path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"})]},
        hosts=("r.test",),
    ),
    http_route("wild", to("two"), hosts=("*.w.test",)),
    http_route("named", to("one"), hosts=("x.w.test",)),
)

# host, path, how, status, what the backend saw or the answer's headers
CASES: tuple[tuple[str, str, dict[str, Any], int, dict[str, Any]], ...] = (
    ("a.test", "/exact", {}, 200, {"backend": "one-0"}),
    ("a.test", "/exact?q=1", {}, 200, {"backend": "one-0", "path": "/exact?q=1"}),
    ("a.test", "/exact/", {}, 200, {"backend": "two-0"}),
    ("a.test", "/exact/more", {}, 200, {"backend": "two-0"}),
    ("a.test", "/exactly", {}, 200, {"backend": "two-0", "path": "/exactly"}),
    ("a.test", "/v12/items", {}, 200, {"backend": "one-0"}),
    ("a.test", "/v12/items/1", {}, 200, {"backend": "two-0"}),
    ("a.test", "/m", {}, 200, {"backend": "two-0"}),
    ("a.test", "/m", {"method": "POST"}, 200, {"backend": "one-0"}),
    ("a.test", "/m", {"headers": {"x-version": "2"}}, 200, {"backend": "one-0"}),
    ("a.test", "/m?q=12", {}, 200, {"backend": "one-0"}),
    ("a.test", "/m?q=x", {}, 200, {"backend": "two-0"}),
    ("a.test", "/many/3/x", {}, 200, {"backend": "one-0"}),
    ("a.test", "/many/33", {}, 200, {"backend": "two-0"}),
    ("a.test:8080", "/exact", {}, 200, {"backend": "one-0"}),
    ("a.test", "/x/../exact", {}, 200, {"backend": "one-0"}),
    ("a.test", "//exact", {}, 200, {"backend": "one-0"}),
    ("b.test", "/foo/bar?x=1", {}, 200, {"path": "/xyz/bar?x=1"}),
    ("b.test", "/foo", {}, 200, {"path": "/xyz"}),
    ("b.test", "/foo/", {}, 200, {"path": "/xyz/"}),
    ("b.test", "/bar/x", {}, 200, {"path": "/x"}),
    ("b.test", "/bar", {}, 200, {"path": "/"}),
    ("b.test", "/bar/", {}, 200, {"path": "/"}),
    ("root.test", "/bar", {}, 200, {"path": "/xyz/bar"}),
    ("b.test", "/full/x?y=1", {}, 200, {"path": r"/new\1?y=1", "host": "new.test"}),
    ("b.test", "/slow?delay=5", {}, 504, {}),
    ("b.test", "/gone", {}, 500, {}),
    ("b.test", "/empty", {}, 503, {}),
    ("b.test", "/nothing", {}, 404, {}),
    ("unknown.test", "/", {}, 404, {}),
    ("q.w.test", "/", {}, 200, {"backend": "two-0"}),
    ("p.q.w.test", "/", {}, 200, {"backend": "two-0"}),
    ("x.w.test", "/", {}, 200, {"backend": "one-0"}),
    ("w.test", "/", {}, 404, {}),
    ("r.test", "/https/x?y=1", {}, 301, {"location": "https://r.test/https/x?y=1"}),
    ("r.test", "/old/x", {}, 308, {"location": "http://else.test:8443/new/x"}),
)


def problem(case: tuple[str, str, dict[str, Any], int, dict[str, Any]], answer: Answer) -> str:
    host, path, how, status, wanted = case
    found = {key: answer.seen.get(key, answer.headers.get(key)) for key in wanted}
    if answer.status == status and found == wanted:
        return ""
    return f"{host}{path} {how}: wanted {status} {wanted}, got {answer.status} {found}"


async def test_requests_go_where_http_routes_say() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.backend("two")
        await rig.backend("empty", copies=0)
        await rig.create(gateway(), *ROUTES)
        await rig.eventually("/", 200, "x.w.test")
        answers = [(case, await rig.get(case[1], case[0], **case[2])) for case in CASES]
        assert [text for case, answer in answers if (text := problem(case, answer))] == []

        changed = await rig.get("/headers", "b.test", headers={"x-gone": "1", "x-add": "a", "x-set": "old"})
        seen = changed.seen["headers"]
        assert (seen["x-set"], seen["x-add"], "x-gone" in seen) == ("100%", "a,b", False)
        assert (changed.headers["x-answer"], "x-from-backend" in changed.headers, changed.headers["server"]) == ("1", False, "echo")

        halves = Counter([(await rig.get("/half", "b.test")).status for _ in range(200)])
        assert set(halves) == {200, 500} and 60 <= halves[200] <= 140


async def test_requests_go_where_ingresses_say() -> None:
    async with gateway_rig() as rig:
        for name in ("one", "two", "rest"):
            await rig.backend(name)
        await rig.create(
            ingress("paths", rules=[rule("a.test", ("Exact", "/exact", "one"), ("Prefix", "/pre/", "two"), ("Prefix", "/", "rest"))]),
            ingress("wild", rules=[rule("*.w.test", ("Prefix", "/", "one"))]),
            ingress("late", defaultBackend={"service": {"name": "rest", "port": {"name": "http"}}}),
        )
        await rig.eventually("/", 200, "unknown.test")
        found = {
            (host, path): (await rig.get(path, host)).seen.get(WHO)
            for host, path in (("a.test", "/exact"), ("a.test", "/exact/"), ("a.test", "/pre"), ("a.test", "/pre/x"),
                               ("a.test", "/prefix"), ("b.w.test", "/"), ("c.b.w.test", "/"), ("unknown.test", "/x"))
        }
        assert found == {
            ("a.test", "/exact"): "one-0", ("a.test", "/exact/"): "rest-0", ("a.test", "/pre"): "two-0",
            ("a.test", "/pre/x"): "two-0", ("a.test", "/prefix"): "rest-0", ("b.w.test", "/"): "one-0",
            ("c.b.w.test", "/"): None, ("unknown.test", "/x"): "rest-0",
        }
        status = await rig.status("Ingress", "paths", lambda status: "loadBalancer" in status)
        assert status["loadBalancer"]["ingress"] == [{"ip": "127.0.0.1"}]


async def test_weights_share_the_traffic() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.backend("two")
        shares = [{"name": "one", "port": 80, "weight": 9}, {"name": "two", "port": 80, "weight": 1}]
        await rig.create(gateway(), http_route("web", {"backendRefs": shares}))
        await rig.eventually("/", 200)
        seen = Counter([(await rig.get("/")).seen[WHO] for _ in range(500)])
        assert 20 <= seen["two-0"] <= 90


async def test_mirrors_get_a_copy_and_answer_nobody() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.backend("copy")
        mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "copy", "port": 80}}}
        await rig.create(gateway(), http_route("web", to("one", filters=[mirror])))
        assert (await rig.eventually("/", 200)).seen[WHO] == "one-0"
        async with asyncio.timeout(5):
            while "copy-0" not in rig.mirrored:
                await asyncio.sleep(0.01)


async def test_websockets_pass() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(gateway(), http_route("web", to("one")))
        await rig.eventually("/", 200)
        url = f"ws://127.0.0.1:{rig.settings.http_port}/chat"
        async with rig.http.ws_connect(url, headers={"host": "a.test"}) as connection:
            await connection.send_str("hello")
            assert (await connection.receive()).data == "echo hello"


async def test_tls_is_terminated_by_server_name() -> None:
    def https(name: str, host: str, secret: str) -> dict[str, Any]:
        return {"name": name, "port": 443, "protocol": "HTTPS", "hostname": host, "tls": {"certificateRefs": [{"name": secret}]}}

    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(
            tls_secret("cert-a", "a.test"), tls_secret("cert-b", "*.b.test"), tls_secret("cert-i", "i.test"),
            gateway(https("a", "a.test", "cert-a"), https("b", "*.b.test", "cert-b")),
            http_route("web", to("one"), hosts=("a.test", "x.b.test")),
            ingress("web", tls=[{"hosts": ["i.test"], "secretName": "cert-i"}], rules=[rule("i.test", ("Prefix", "/", "one"))]),
        )
        await rig.eventually("/", 200, "i.test")
        await rig.status("Gateway", "gw", lambda status: "listeners" in status)
        port = rig.settings.https_port
        await rig.until(lambda: rig.answers_by_tls("a.test"))
        await rig.until(lambda: rig.answers_by_tls("x.b.test", "*.b.test"))
        await rig.until(lambda: rig.answers_by_tls("i.test"))
        assert await tls_request(port, "a.test", "i.test") == (421, "a.test")
        with pytest.raises(OSError):
            await tls_request(port, "unknown.test", "unknown.test")


async def test_a_renewed_certificate_is_served_without_a_break() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        await rig.create(
            tls_secret("cert", "old.test"),
            ingress("web", tls=[{"hosts": ["a.test"], "secretName": "cert"}], rules=[rule("a.test", ("Prefix", "/", "one"))]))
        await rig.eventually("/", 200)
        port = rig.settings.https_port
        async with asyncio.timeout(10):
            while True:
                try:
                    assert (await tls_request(port, "a.test", "a.test"))[1] == "old.test"
                    break
                except OSError:
                    await asyncio.sleep(0.02)
        renewed = tls_secret("cert", "new.test")
        await rig.replace(renewed)
        async with asyncio.timeout(10):
            while (await tls_request(port, "a.test", "a.test"))[1] != "new.test":
                await asyncio.sleep(0.02)


async def test_plain_http_is_redirected_where_an_ingress_asks_for_it() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        item = ingress("web", tls=[{"hosts": ["a.test"], "secretName": "cert"}], rules=[rule("a.test", ("Prefix", "/", "one"))])
        item["metadata"]["annotations"] = {"wherry.dev/ssl-redirect": "true"}
        await rig.create(tls_secret("cert", "a.test"), item)
        assert (await rig.eventually("/x?y=1", 308)).headers["location"] == "https://a.test/x?y=1"


async def test_hosts_belong_to_the_most_specific_listener() -> None:
    def plain(name: str, host: str) -> dict[str, Any]:
        return {"name": name, "port": 80, "protocol": "HTTP"} | ({"hostname": host} if host else {})

    async with gateway_rig() as rig:
        await rig.backend("one")
        route = http_route("web", to("one"), hosts=("a.test", "b.test"))
        route["spec"]["parentRefs"] = [{"name": "gw", "sectionName": "any"}]
        await rig.create(gateway(plain("any", ""), plain("named", "b.test")), route)
        await rig.eventually("/", 200, "a.test")
        assert (await rig.get("/", "b.test")).status == 404


async def test_a_listener_may_have_any_free_port_and_says_when_it_is_taken() -> None:
    async with gateway_rig() as rig:
        await rig.backend("one")
        taken = await rig.serve("taken")
        await rig.create(
            gateway({"name": "other", "port": taken, "protocol": "HTTP"}, {"name": "http", "port": 80, "protocol": "HTTP"}),
            http_route("web", to("one")))
        await rig.eventually("/", 200)

        def is_told(status: dict[str, Any]) -> bool:
            entries = {entry["name"]: entry["conditions"] for entry in status.get("listeners", ())}
            return any(c["type"] == "Programmed" and c["status"] == "False" and "Envoy refused" in c["message"] for c in entries.get("other", ()))

        await rig.status("Gateway", "gw", is_told)


async def test_a_backend_of_kind_h2c_is_spoken_to_in_http2() -> None:
    preface: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(24)
        if not preface.done():
            preface.set_result(first)
        writer.close()

    async with gateway_rig() as rig, await asyncio.start_server(peer, "0.0.0.0", 0) as server:
        await rig.backend("one", copies=0, app_protocol="kubernetes.io/h2c")
        await rig.create(rig.slice_of("one", "one-0", server.sockets[0].getsockname()[1]), gateway(), http_route("web", to("one")))
        await rig.eventually("/", 503)  # this peer never answers
        assert (await preface).startswith(b"PRI * HTTP/2.0")
