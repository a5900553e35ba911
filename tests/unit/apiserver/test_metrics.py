"""The Prometheus text, the API server's metrics, and its health checks."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Unavailable
from wherry.kit.http import health
from wherry.kit.http.health import Health
from wherry.kit.http.message import Response
from wherry.kit.metrics import Registry
from wherry.kit.process_metrics import add_process_metrics
from wherry.orchestration.apiserver.serving.metrics import ApiMetrics, Measured
from wherry.testing.api import api_server

LINE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-z_]+="(\\.|[^"\\\n])*"(,[a-z_]+="(\\.|[^"\\\n])*")*\})? [0-9eE+.-]+')


def lines(registry: Registry) -> list[str]:
    return [line for line in registry.render().decode().splitlines() if not line.startswith("#")]


def test_counter_gauge_and_histogram_as_text() -> None:
    registry = Registry()
    counter = registry.counter("a_total", "Things.", ("kind",))
    counter.inc(("x",))
    counter.inc(("x",), 2)
    registry.gauge("b", "Level.").set(1.5)
    histogram = registry.histogram("c_seconds", "Time.", (), (0.1, 1))
    for value in (0.05, 0.1, 0.5, 7):
        histogram.observe(value)
    assert registry.render().decode() == (
        '# HELP a_total Things.\n# TYPE a_total counter\na_total{kind="x"} 3\n'
        "# HELP b Level.\n# TYPE b gauge\nb 1.5\n"
        "# HELP c_seconds Time.\n# TYPE c_seconds histogram\n"
        'c_seconds_bucket{le="0.1"} 2\nc_seconds_bucket{le="1"} 3\nc_seconds_bucket{le="+Inf"} 4\n'
        "c_seconds_sum 7.65\nc_seconds_count 4\n")


@given(st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False))
def test_any_label_value_makes_one_readable_line(text: str, value: float) -> None:
    registry = Registry()
    registry.gauge("g", "G.", ("l",)).set(value, (text.replace("\r", ""),))
    body = registry.render().decode().split("gauge\n", 1)[1]
    assert body.endswith("\n") and LINE.fullmatch(body[:-1])


def test_request_is_counted_under_upstreams_labels() -> None:
    metrics = ApiMetrics(Registry())
    what = Measured("list", "apps", "v1", "deployments", "", "namespace")
    metrics.finished(what, 200, 0.003)
    metrics.finished(Measured("watch", "", "v1", "pods", "", "cluster"), 200, 60, is_long=True)
    metrics.finished(Measured("brew"), 405, 0)
    found = lines(metrics.registry)
    assert ('apiserver_request_total{code="200",component="apiserver",dry_run="",group="apps",resource="deployments",'
            'scope="namespace",subresource="",verb="LIST",version="v1"} 1') in found
    assert any('verb="other"' in line for line in found)
    assert not any("duration" in line and 'verb="WATCH"' in line for line in found)


def test_running_requests_go_up_and_down() -> None:
    metrics = ApiMetrics(Registry())
    with metrics.in_flight("create"), metrics.long_running(Measured("watch", "", "v1", "pods", "", "cluster")):
        inside = lines(metrics.registry)
    after = lines(metrics.registry)
    assert 'apiserver_current_inflight_requests{request_kind="mutating"} 1' in inside
    assert 'apiserver_current_inflight_requests{request_kind="mutating"} 0' in after
    assert any(line.startswith("apiserver_longrunning_requests{") and line.endswith(" 1") for line in inside)


def test_stored_objects_are_counted_when_scraped() -> None:
    metrics = ApiMetrics(Registry())
    counts = {("", "pods"): 3, ("apps", "deployments"): 1}
    metrics.count_objects(lambda: counts)
    assert 'apiserver_storage_objects{resource="deployments.apps"} 1' in lines(metrics.registry)
    counts[("", "pods")] = 4
    assert 'apiserver_storage_objects{resource="pods"} 4' in lines(metrics.registry)


def test_process_metrics_are_plausible() -> None:
    registry = Registry()
    add_process_metrics(registry)
    values = {name: float(value) for name, value in (line.split() for line in lines(registry))}
    assert 1e6 < values["process_resident_memory_bytes"] < values["process_virtual_memory_bytes"]
    assert 0 < values["process_open_fds"] <= values["process_max_fds"] and values["process_start_time_seconds"] > 1.6e9


async def failing() -> None:
    raise Unavailable("store does not answer: secret detail")


async def ask(checks: Health, path: str, **query: list[str]) -> Response:
    response = await checks.answer(path, query)
    assert response is not None
    return response


@pytest.fixture
def unwell() -> Health:
    checks = Health()
    checks.add("etcd", failing, ("readyz",))
    return checks


async def test_well_server_says_ok(unwell: Health) -> None:
    assert (await ask(unwell, "/livez")).body == b"ok"
    assert (await ask(unwell, "/livez", verbose=[""])).body == b"[+]ping ok\nlivez check passed\n"


async def test_failed_check_is_named_and_its_reason_withheld(unwell: Health) -> None:
    response = await ask(unwell, "/readyz")
    assert response.status == 500
    assert response.body == b"[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"


async def test_check_can_be_left_out(unwell: Health) -> None:
    response = await ask(unwell, "/readyz", exclude=["etcd", "x"], verbose=[""])
    assert response.status == 200 and isinstance(response.body, bytes)
    assert b"[+]etcd excluded: ok" in response.body and b'no matches for "x"' in response.body


async def test_one_check_has_its_own_path(unwell: Health) -> None:
    assert (await ask(unwell, "/readyz/ping")).status == 200
    assert (await ask(unwell, "/readyz/etcd")).status == 500
    assert await unwell.answer("/livez/etcd", {}) is None and await unwell.answer("/other", {}) is None


async def test_check_that_hangs_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.01)
    checks = Health()
    checks.add("slow", asyncio.Event().wait)  # type: ignore[arg-type]
    assert (await ask(checks, "/healthz")).status == 500


async def test_results_of_health_checks_are_metrics_of_their_own() -> None:
    async with api_server() as api:
        await api.call("GET", "/readyz?verbose")
        status, body = await api.call("GET", "/metrics/slis")
        lines = body.decode().splitlines()
        assert status == 200
        assert 'kubernetes_healthcheck{name="ping",type="readyz"} 1' in lines
        assert 'kubernetes_healthchecks_total{name="disk-space",status="success",type="readyz"} 1' in lines


async def test_health_metrics_are_there_before_anybody_has_asked() -> None:
    async with api_server() as api:
        _, body = await api.call("GET", "/metrics/slis")
        lines = body.decode().splitlines()
        for endpoint in ("healthz", "livez", "readyz"):
            assert f'kubernetes_healthcheck{{name="ping",type="{endpoint}"}} 1' in lines
        assert 'kubernetes_healthchecks_total{name="store",status="success",type="readyz"} 1' in lines
