"""What Envoy took is known to the next control plane, and no more is believed of it than holds."""

import asyncio
from pathlib import Path

import pytest
from test_gateway_isolation import Envoy, hosts_of, route

from wherry.application.gateway.keeping import REST_S_MIN, TakenFile
from wherry.application.gateway.model.values import (
    Answer,
    Backend,
    BackendTls,
    Forward,
    HeaderChange,
    Mirror,
    Order,
    PathKind,
    PathMatch,
    Plugin,
    Redirect,
    Rewrite,
    Route,
    RouteMatch,
    Target,
    ValueMatch,
    VirtualHost,
)
from wherry.application.gateway.xds import taken
from wherry.application.gateway.xds.isolation import Hosts, Isolation, share_of
from wherry.kit.errors import Invalid

R3 = "HTTPRoute/default/r3"


def test_every_field_of_a_route_is_the_same_after_the_file() -> None:
    backend = Backend("default", "web", 80, tls=BackendTls("a.test", b"\x00pem", (("URI", "spiffe://a"),)))
    change = HeaderChange((("a", "b"),), (("c", "d"),), ("e",))
    order: Order = (1, "b", 3)
    match = RouteMatch(PathMatch(PathKind.REGEX, "/a.*"), "GET", (ValueMatch("h", "v", True),), (ValueMatch("q", "w"),))
    actions = (
        Forward((Target(backend, 2, change, change), Target(None)), Rewrite("h", None, "/p"), 1.5, 0.5, (Mirror(backend, 7),)),
        Redirect(301, "https", "h", 443, None, "/p"), Answer(404, "no"),
    )
    plugins = (Plugin("p", "t", b"\xff"),)
    routes = tuple(Route("n", order, match, action, change, change, plugins, ("10.0.0.0/8",), ("::/0",)) for action in actions)
    tables = {"port-80": (VirtualHost("*", routes),)}
    read = taken.decode(taken.encode(tables))
    assert read == tables
    action = read["port-80"][0].routes[0].action
    assert isinstance(action, Forward) and action.targets[0].backend is not None
    assert action.targets[0].backend.name == backend.name


@pytest.mark.parametrize("data", [
    pytest.param(b"", id="nothing"),
    pytest.param(b"\x00", id="no JSON"),
    pytest.param(b"[]", id="another shape"),
    pytest.param(b'{"format":2,"tables":{}}', id="another format"),
    pytest.param(b'{"format":1,"tables":{"a":[{"host":"a.test"}]}}', id="a field less"),
    pytest.param(b'{"format":1,"tables":{"a":[{"host":1,"routes":[]}]}}', id="a field of another kind"),
])
def test_bytes_of_another_model_are_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        taken.decode(data)


def changed() -> Hosts:
    """Those of 3 and 6, with another path for 3."""
    return tuple(VirtualHost(host.host, tuple(route(n, path="/new") if n == 3 else route(n) for n in (3, 6)))
                 for host in hosts_of({3, 6}))


def test_a_route_refused_by_the_next_control_plane_stays_as_the_last_one_had_it() -> None:
    first = Isolation()
    Envoy(first, set()).settle(hosts_of({3, 6}))
    envoy = Envoy(Isolation(first.last_good), set())

    def judge_new(owners: set[str], hosts: Hosts) -> bool:
        return any("/new" in r.match.path.value for host in hosts for r in host.routes)

    envoy.refuses = judge_new
    envoy.settle(changed())
    assert set(envoy.isolation.refusals) == {R3} and envoy.probes == 1, "only what changed is suspected"
    assert share_of(envoy.serves, R3) == share_of(hosts_of({3, 6}), R3)


def test_what_an_earlier_envoy_took_and_this_one_refuses_is_found() -> None:
    first = Isolation()
    Envoy(first, set()).settle(hosts_of({3, 6}))
    envoy = Envoy(Isolation(first.last_good), {3})
    envoy.settle(hosts_of({3, 6}))
    assert set(envoy.isolation.refusals) == {R3}
    assert share_of(envoy.serves, R3) == {} and share_of(envoy.serves, "HTTPRoute/default/r6")


async def kept_after(kept: TakenFile, *tables: dict[str, Hosts], rest_s: float) -> None:
    """Each of `tables` is taken, `rest_s` after the one before; then an orderly end."""
    now: dict[str, Hosts] = {}
    keeping = asyncio.ensure_future(kept.keep(lambda: now))
    for table in tables:
        now.update(table)
        kept.note()
        await asyncio.sleep(rest_s)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.virtual_time
@pytest.mark.parametrize("rest_s", [
    pytest.param(2 * REST_S_MIN, id="each by itself"), pytest.param(REST_S_MIN / 2, id="the last one at the end, in the rest")])
async def test_the_file_follows_what_is_taken(tmp_path: Path, rest_s: float) -> None:
    file = tmp_path / "routes.json"
    assert TakenFile(file).read() == {}
    tables = [{"port-80": hosts_of({1})}, {"port-80": hosts_of({1, 2})}]
    await kept_after(TakenFile(file), *tables, rest_s=rest_s)
    assert TakenFile(file).read() == tables[-1]
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.virtual_time
async def test_what_could_not_be_written_is_written_once_it_can(tmp_path: Path) -> None:
    file, tables = tmp_path / "gone" / "routes.json", {"port-80": hosts_of({1})}
    file.parent.write_text("in the way")
    kept = TakenFile(tmp_path / "gone" / "routes.json")
    kept.note()
    with pytest.raises((FileExistsError, NotADirectoryError)):
        async with asyncio.timeout(10):
            await kept.keep(lambda: tables)
    file.parent.unlink()
    file.parent.mkdir()
    keeping = asyncio.ensure_future(kept.keep(lambda: tables))  # as `keep_running` does; nothing else is noted
    await asyncio.sleep(1)
    keeping.cancel()
    assert TakenFile(file).read() == tables


def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "routes.json").write_text("{")
    assert TakenFile(tmp_path / "routes.json").read() == {}
