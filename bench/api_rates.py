"""The API server over TLS and SQLite: GET, LIST of 1,000 pods (whole, as Table, of one node, gzip), CREATE, apply, and how
late a watch event is at 20 and at 1,000 watchers.

Usage: python bench/api_rates.py [--seconds 3] [--writes] [--small] [--record]    needs wrk (apt install wrk) and openssl
Prints one JSON line a figure. The load generator shares the machine's cores: `..._cpu` is the server's own processor time a
request, which what else runs does not change much. `--writes` leaves reading out; `PYTHONPATH` of another checkout's `src`
measures that one. `--small` is a smoke run.
"""

import asyncio
import json
import re
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import figures

from wherry.orchestration.objects.kinds import CLUSTER_ROLE_BINDINGS, PODS, SERVICE_ACCOUNTS
from wherry.orchestration.store.sqlite import SqliteStore
from wherry.testing.api import TestApi, api_server

CREATE_SCRIPT = """
counter = 0
function setup(thread) thread:set("id", tostring(math.random(1000000))) end
request = function()
  counter = counter + 1
  local body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"bench-"},"data":{"a":"b"}}'
  return wrk.format("POST", "/api/v1/namespaces/default/configmaps", nil, body)
end
"""


def pod(index: int) -> dict[str, object]:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"pod-{index:04}", "labels": {"app": f"app-{index % 20}", "tier": "bench"}},
        "spec": {"nodeName": f"node-{index % 50}", "containers": [{
            "name": "main", "image": "registry.local/bench:1", "ports": [{"containerPort": 8080}],
            "env": [{"name": f"SETTING_{n}", "value": "x" * 20} for n in range(8)],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]},
    }


TABLE = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
GZIP = "Accept-Encoding: gzip"
POD_SCRIPT = """
counter = 0
function setup(thread) thread:set("id", tostring(math.random(1000000))) end
request = function()
  counter = counter + 1
  return wrk.format("POST", "/api/v1/namespaces/default/pods", nil, [[%s]])
end
"""
APPLY_SCRIPT = """
counter = 0
request = function()
  counter = counter + 1
  local name = "d" .. (counter %% 50)
  local body = string.gsub(string.gsub([[%s]], "VALUE", tostring(counter)), "DEPLOYMENT", name)
  local path = "/apis/apps/v1/namespaces/default/deployments/" .. name .. "?fieldManager=bench&force=true"
  return wrk.format("PATCH", path, {["Content-Type"] = "application/apply-patch+yaml", ["Authorization"] = wrk.headers["Authorization"]}, body)
end
"""


def deployment() -> dict[str, object]:
    template = pod(0)
    spec = dict(template["spec"], nodeName="")  # type: ignore[call-overload]
    spec["containers"][0]["env"][0]["value"] = "VALUE"
    labels = {"app": "bench"}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "DEPLOYMENT"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


@asynccontextmanager
async def running(pods: int) -> AsyncIterator[tuple[TestApi, str]]:
    """A server with pods, and a bearer token of an administrator."""
    with tempfile.TemporaryDirectory(prefix="wherry-bench-") as folder:
        store = await SqliteStore.open(Path(folder) / "state.db")
        try:
            async with api_server(store=store, listen=True, folder=Path(folder)) as api:
                binding = {
                    "metadata": {"name": "bench"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                    "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
                }
                await api.client.create(CLUSTER_ROLE_BINDINGS, binding)
                reply = await api.client.create_subresource(SERVICE_ACCOUNTS, "default", "default", "token", {"spec": {}})
                for start in range(0, pods, 50):
                    async with asyncio.TaskGroup() as tasks:
                        for index in range(start, min(start + 50, pods)):
                            tasks.create_task(api.client.create(PODS, pod(index), "default"))
                yield api, str(reply["status"]["token"])
        finally:
            await store.close()


async def wrk(api: TestApi, token: str, path: str, seconds: float, connections: int, script: str = "", header: str = "") -> float:
    """Requests a second."""
    return (await load(api, token, path, seconds, connections, script, header))[0]


async def load(
    api: TestApi, token: str, path: str, seconds: float, connections: int, script: str = "", header: str = "",
) -> tuple[float, float]:
    """(requests a second, microseconds of this process's processor time a request)."""
    extra = ["-H", header] if header else []
    if script:
        file = Path(api.kubeconfig).parent / "load.lua"
        file.write_text(script)
        extra += ["-s", str(file)]
    before = time.process_time()
    process = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-H", f"Authorization: Bearer {token}",
        "-H", "Content-Type: application/json", *extra, f"{api.url}{path}", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    spent_s = time.process_time() - before
    rate, count = re.search(rb"Requests/sec:\s+([\d.]+)", out), re.search(rb"(\d+) requests in", out)
    if rate is None or count is None or b"Non-2xx" in out:
        sys.exit(f"wrk saw errors:\n{out.decode()}")
    return float(rate.group(1)), spent_s / max(1, int(count.group(1))) * 1e6


async def watch_delays(api: TestApi, token: str, watchers: int, events: int) -> list[float]:
    """Seconds from the start of a create to the event at each watcher, over TLS."""
    context = ssl.create_default_context(cadata=api.pki.ca_pem.decode() if api.pki else None)
    if not api.pki:  # a peer's certificate is of its own making
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    delays: list[float] = []
    sent: dict[str, float] = {}
    began = time.time_ns()  # names are new in each round
    path = f"{api.url}/api/v1/namespaces/default/secrets"
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"}, connector=aiohttp.TCPConnector(ssl=context, limit=0),
    ) as session:
        ready = asyncio.Semaphore(0)

        async def follow() -> None:
            while not await followed():  # a server may ask a crowd to come again
                await asyncio.sleep(0.1)

        async def followed() -> bool:
            async with session.get(f"{path}?watch=true&resourceVersion=0") as response:
                if response.status == 429:
                    return False
                ready.release()
                seen = 0
                async for line in response.content:
                    name = json.loads(line)["object"]["metadata"]["name"]
                    if name not in sent:
                        continue  # of an earlier round
                    delays.append(time.perf_counter() - sent[name])
                    seen += 1
                    if seen == events:
                        break
            return True

        async with asyncio.TaskGroup() as tasks:
            for _ in range(watchers):
                tasks.create_task(follow())
            for _ in range(watchers):
                await ready.acquire()
            for index in range(events):
                name = f"w-{watchers}-{began}-{index}"
                sent[name] = time.perf_counter()
                async with session.post(path, json={"metadata": {"name": name}}) as answer:
                    await answer.read()
                await asyncio.sleep(0.01)
    return delays


async def measure(seconds: float, pods: int, events: int) -> figures.Figures:
    async with running(pods) as (api, token):
        return {**await read_figures(api, token, seconds, pods, events), **await write_figures(api, token, seconds)}


async def measure_writes(seconds: float) -> figures.Figures:
    async with running(0) as (api, token):
        return await write_figures(api, token, seconds)


async def read_figures(api: TestApi, token: str, seconds: float, pods: int, events: int) -> figures.Figures:
    path = "/api/v1/namespaces/default/pods"
    found = {
        "get": (await wrk(api, token, f"{path}/pod-0001", seconds, 16), "requests/s"),
        f"list_{pods}_pods": (await wrk(api, token, path, seconds, 4), "requests/s"),
        f"table_{pods}_pods": (await wrk(api, token, path, seconds, 4, header=TABLE), "requests/s"),
        f"list_{pods}_pods_gzip": (await wrk(api, token, path, seconds, 4, header=GZIP), "requests/s"),
        "list_one_node": (await wrk(api, token, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1", seconds, 4), "requests/s"),
    }
    for watchers, count in ((20, events), (1000, max(1, events // 10))):
        delays = sorted(await watch_delays(api, token, watchers, count))
        suffix = "" if watchers == 20 else f"_{watchers}_watchers"
        found[f"watch_delivery{suffix}_p50"] = (statistics.median(delays) * 1000, "ms")
        found[f"watch_delivery{suffix}_p99"] = (delays[int(len(delays) * 0.99)] * 1000, "ms")
    return found


async def write_figures(api: TestApi, token: str, seconds: float) -> figures.Figures:
    generated = {**pod(0), "metadata": {"generateName": "made-", "labels": {"app": "made"}}}
    found: dict[str, tuple[float, str]] = {}
    for name, connections, script in (
        ("create_configmap", 32, CREATE_SCRIPT), ("create_pod", 32, POD_SCRIPT % json.dumps(generated)),
        ("apply_deployment", 8, APPLY_SCRIPT % json.dumps(deployment())),
    ):
        rate, cpu_us = await load(api, token, "/", seconds, connections, script)
        found |= {name: (rate, "requests/s"), f"{name}_cpu": (cpu_us, "us")}
    return found


async def measured(options: figures.Options) -> figures.Figures:
    if options.writes:
        return await measure_writes(1 if options.small else options.seconds)
    return await (measure(1, 20, 10) if options.small else measure(options.seconds, 1000, 200))


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--seconds", type=float, default=3)
    flags.add_argument("--writes", action="store_true", help="CREATE and apply only")
    figures.run(flags, measured)
