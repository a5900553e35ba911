"""How long a changed endpoint of one Service takes to reach the kernel, with 10,000 Services in the table.

Usage: python bench/service_change.py [--services 10000] [--changes 100] [--small] [--record]    needs root and nftables
In a network namespace of its own (it starts itself again under unshare). From the sending of the EndpointSlice patch to an
API server in this process, through watch, informer, proxy and nft, to the end of the transaction. Also the first whole load.
"""

import asyncio
import os
import sys
import time
from typing import Any

import figures

from wherry.infrastructure.network import nft
from wherry.orchestration.apiserver.settings import ApiServerSettings
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SERVICES
from wherry.orchestration.proxy.loop import Proxy
from wherry.orchestration.proxy.settings import ProxySettings
from wherry.testing.api import TestApi, api_server

INSIDE = "WHERRY_BENCH_NAMESPACE"
SETTINGS = ProxySettings(
    table="wherry-bench-svc", node_name="n", node_addresses=("192.0.2.2",), service_cidr="10.96.0.0/16",
    pod_cidrs=("10.244.0.0/16",), link_prefix="bench",
)  # fmt: skip
AT_ONCE = 64
LIMIT_S = 60.0


class TimedFirewall:
    """nft, and the moment of each load's end."""

    def __init__(self) -> None:
        self.loads = 0
        self.ended_at = 0.0
        self.took_s = 0.0
        self._loaded = asyncio.Event()

    async def load(self, ruleset: str) -> None:
        began_at = time.perf_counter()
        await nft.load(ruleset)
        self.ended_at = time.perf_counter()
        self.took_s = self.ended_at - began_at
        self.loads += 1
        self._loaded.set()

    async def after(self, loads: int) -> float:
        """The moment at which more than `loads` loads had ended."""
        async with asyncio.timeout(LIMIT_S):
            while self.loads <= loads:
                self._loaded.clear()
                await self._loaded.wait()
        return self.ended_at


def service(index: int) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {"metadata": {"name": f"s{index}", "namespace": "default"}, "spec": {"ports": ports}}


def endpoint_slice(index: int, turn: int = 0) -> dict[str, Any]:
    last = (index * 2 + turn) % 65_000
    addresses = [f"10.244.{(last + n) // 256}.{(last + n) % 256}" for n in (0, 1)]
    return {
        "metadata": {"name": f"s{index}-a", "namespace": "default", "labels": {"kubernetes.io/service-name": f"s{index}"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }  # fmt: skip


async def fill(api: TestApi, count: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for index in numbers:
            await api.client.create(SERVICES, service(index))
            await api.client.create(ENDPOINT_SLICES, endpoint_slice(index))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(worker())


async def measure(options: figures.Options) -> figures.Figures:
    services, changes = (50, 3) if options.small else (options.services, options.changes)
    took, in_nft = [], []
    async with api_server(settings=ApiServerSettings()) as api, asyncio.TaskGroup() as tasks:
        await fill(api, services)
        informers, firewall = Informers(api.client), TimedFirewall()
        proxy = Proxy(SETTINGS, informers, firewall)
        running = [tasks.create_task(informers.run()), tasks.create_task(proxy.run())]
        async with asyncio.timeout(LIMIT_S):
            await proxy.ready.wait()
        whole_s = firewall.took_s
        await asyncio.sleep(0.5)
        for turn in range(changes):
            loads, began_at = firewall.loads, time.perf_counter()
            index = turn * 37 % services
            patch = {"endpoints": endpoint_slice(index, turn + 1)["endpoints"]}
            await api.client.patch(ENDPOINT_SLICES, f"s{index}-a", "default", patch)
            took.append((await firewall.after(loads) - began_at) * 1000)
            in_nft.append(firewall.took_s * 1000)
        for task in running:
            task.cancel()
    return {
        **figures.spread("service_change", took, "ms"), **figures.spread("service_change_in_nft", in_nft, "ms"),
        f"whole_table_of_{services}_services": (whole_s, "s"),
    }  # fmt: skip


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--services", type=int, default=10_000)
    flags.add_argument("--changes", type=int, default=100)
    if INSIDE not in os.environ and not {"-h", "--help"} & set(sys.argv):
        os.execvpe("unshare", ["unshare", "--net", sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})
    figures.run(flags, measure)
