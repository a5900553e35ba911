"""How soon a route change is visible at the gateway, and whether any request fails meanwhile; a real Envoy, many routes.

Usage: python bench/gateway_routes.py [--small] [--record] [--routes 5000] [--changes 200]

Objects are handed to the compiler as an informer would hand them over, so the API server's share is not in the figures:
`visible` is from the changed object to the first answer of its new backend, coalescing (10 ms) included.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import figures
from aiohttp import web

from wherry.application.gateway.compiler import Compiler
from wherry.application.gateway.dialects.known import dialects_for
from wherry.application.gateway.model.kinds import CLASS_NAME, CONTROLLER, GATEWAY_CLASSES, GATEWAYS, HTTP_ROUTES
from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.model.snapshot import snapshot_of
from wherry.application.gateway.xds.feed import Feed
from wherry.application.gateway.xds.resources import Builder
from wherry.kit.clock import SystemClock
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.objects.meta import Object
from wherry.testing.envoy import control_plane, envoy_settings, running_envoy, wait_until_ready
from wherry.testing.ports import free_port


def obj(name: str, **rest: Any) -> Object:
    return {"metadata": {"name": name, "namespace": "default", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}, **rest}


def route(number: int, service: str, *, one_host: bool) -> Object:
    host = "a.test" if one_host else f"h{number}.test"
    rules = [{"matches": [{"path": {"type": "PathPrefix", "value": f"/r{number:05d}"}}],
              "backendRefs": [{"name": service, "port": 80}]}]
    return obj(f"r{number}", spec={"parentRefs": [{"name": "gw"}], "hostnames": [host], "rules": rules})


class Cluster:
    """The objects, and everything that turns them into answers."""

    def __init__(self, settings: GatewaySettings, feed: Feed, ports: dict[str, int], count: int, *, one_host: bool) -> None:
        self._feed, self._compiler, self._builder = feed, Compiler(dialects_for(settings), SystemClock().now), Builder(settings)
        self._delay_s = settings.coalesce_s
        self.one_host = one_host
        gateway = obj("gw", spec={"gatewayClassName": CLASS_NAME, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]})
        cls = {"metadata": {"name": CLASS_NAME}, "spec": {"controllerName": CONTROLLER}}
        services = [obj(name, spec={"ports": [{"name": "http", "port": 80}]}) for name in ports]
        slices = [self._slice(name, port) for name, port in ports.items()]
        self.routes = {f"default/r{n}": route(n, "one", one_host=one_host) for n in range(count)}
        self._fixed = [(GATEWAY_CLASSES, [cls]), (GATEWAYS, [gateway]), (SERVICES, services), (ENDPOINT_SLICES, slices)]
        self.compile_s: list[float] = []

    @staticmethod
    def _slice(name: str, port: int) -> Object:
        found = obj(f"{name}-1", addressType="IPv4", ports=[{"name": "http", "port": port}],
                    endpoints=[{"addresses": ["127.0.0.1"]}])
        found["metadata"]["labels"] = {"kubernetes.io/service-name": name}
        return found

    async def publish(self) -> None:
        await asyncio.sleep(self._delay_s)
        began = time.perf_counter()
        snapshot = snapshot_of([*self._fixed, (HTTP_ROUTES, self.routes.values())])
        self._feed.publish(self._builder.build(self._compiler.compile(snapshot).model))
        self.compile_s.append(time.perf_counter() - began)


async def backend(stack: AsyncExitStack, name: str) -> int:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", lambda _: web.Response(text=name))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return port


async def visible_s(cluster: Cluster, http: aiohttp.ClientSession, url: str, number: int, service: str) -> tuple[float, int]:
    """(seconds from the change to its first answer, answers that were errors)."""
    began, errors = time.perf_counter(), 0
    cluster.routes[f"default/r{number}"] = route(number, service, one_host=cluster.one_host)
    await cluster.publish()
    host = "a.test" if cluster.one_host else f"h{number}.test"
    while True:
        async with http.get(f"{url}/r{number:05d}", headers={"host": host}) as response:
            text = await response.text()
            errors += response.status != 200
            if text == service:
                return time.perf_counter() - began, errors


async def measure(count: int, changes: int, *, one_host: bool) -> Iterator[tuple[str, float, str]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="wherry-bench-")))
        settings = envoy_settings(folder)
        ports = {name: await backend(stack, name) for name in ("one", "two")}
        feed = await stack.enter_async_context(control_plane(settings))
        cluster = Cluster(settings, feed, ports, count, one_host=one_host)
        began = time.perf_counter()
        await cluster.publish()
        first_s = time.perf_counter() - began
        await stack.enter_async_context(running_envoy(settings))
        await wait_until_ready(settings)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{settings.http_port}"
        await visible_s(cluster, http, url, 0, "two")
        cluster.compile_s.clear()
        found, errors = [], 0
        for turn in range(changes):
            seconds, failed = await visible_s(cluster, http, url, (turn * 37 + 1) % count, ("two", "one")[turn // count % 2])
            found.append(seconds)
            errors += failed
        found.sort()
        cluster.compile_s.sort()
        return iter([
            ("first_compile", first_s * 1000, "ms"),
            ("compile_one_change_p50", cluster.compile_s[changes // 2] * 1000, "ms"),
            ("visible_p50", found[changes // 2] * 1000, "ms"),
            ("visible_p99", found[min(changes - 1, changes * 99 // 100)] * 1000, "ms"),
            ("errors", errors, "responses"),
        ])


async def figures_of(options: figures.Options) -> figures.Figures:
    count, changes = (200, 20) if options.small else (options.routes, options.changes)
    found: dict[str, tuple[float, str]] = {}
    for one_host in (False, True):
        where = f"{count}_routes_1_host" if one_host else f"{count}_routes_{count}_hosts"
        for name, value, unit in await measure(count, changes, one_host=one_host):
            found[f"{name}_{where}"] = (value, unit)
    return found


if __name__ == "__main__":
    flags = figures.parser(__doc__ or "")
    flags.add_argument("--routes", type=int, default=5000)
    flags.add_argument("--changes", type=int, default=200)
    figures.run(flags, figures_of)
