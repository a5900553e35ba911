"""Wherry's API server over TLS and SQLite beside kube-apiserver 1.37.2 with etcd 3.7.3: the same requests, in turns, in one run.

Usage: python bench/api_peer.py [--seconds 3] [--rounds 3] [--judges .cache/judges/bin] [--tree OTHER/CHECKOUT] [--small] [--record]
Needs wrk, and `make judges` for the peer; `--tree` measures another checkout of Wherry as well (its own .venv, its src).
Prints, per figure, the median rate or delay of each, and the CPU milliseconds its processes spent per request. `--small` is a smoke
run of Wherry alone.
"""

import asyncio
import json
import os
import ssl
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import api_rates
import figures

from wherry.testing.ports import free_port

ADMIN = "bench-administrator"
UP_S = 180.0
TICKS = os.sysconf("SC_CLK_TCK")
SERVE = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
import api_rates
async def main():
    async with api_rates.running(0) as (api, token):
        print(json.dumps({"url": api.url, "token": token}), flush=True)
        await asyncio.Event().wait()
import uvloop
uvloop.run(main())
"""


@dataclass(slots=True)
class Server:
    """One API server under load. The names are those `api_rates` asks for."""

    name: str
    url: str
    token: str
    kubeconfig: Path  # only its folder is used
    pids: tuple[int, ...]
    pki: Any = None
    found: dict[str, list[float]] = field(default_factory=dict)

    def cpu_s(self) -> float:
        """Of all its processes so far."""
        spent = 0
        for pid in self.pids:
            words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            spent += int(words[11]) + int(words[12])
        return spent / TICKS

    def add(self, figure: str, value: float) -> None:
        self.found.setdefault(figure, []).append(value)


@asynccontextmanager
async def process(*words: str, **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL, **more)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


@asynccontextmanager
async def wherry(name: str, tree: Path, folder: Path) -> AsyncIterator[Server]:
    """The server of a checkout, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "TMPDIR": str(folder)}  # it is killed in the end, and cleans nothing up
    python = tree / ".venv" / "bin" / "python"
    words = (str(python if python.exists() else sys.executable), "-c", SERVE, str(tree / "bench"))
    async with process(*words, stdout=asyncio.subprocess.PIPE, env=environment) as started:
        assert started.stdout
        async with asyncio.timeout(UP_S):
            said = json.loads(await started.stdout.readline())
        yield Server(name, said["url"], said["token"], folder / "k", (started.pid,))


@asynccontextmanager
async def peer(judges: Path, folder: Path) -> AsyncIterator[Server]:
    """kube-apiserver with etcd."""
    data, tokens, key = folder / "etcd", folder / "tokens.csv", folder / "sa.key"
    tokens.write_text(f"{ADMIN},admin,admin,system:masters\n", encoding="ascii")
    await (await asyncio.create_subprocess_exec("openssl", "genrsa", "-out", str(key), "2048", stderr=asyncio.subprocess.DEVNULL)).wait()
    client, other, port = free_port(), free_port(), free_port()
    async with AsyncExitStack() as stack:
        etcd = await stack.enter_async_context(process(
            str(judges / "etcd"), "--data-dir", str(data), "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls",
            f"http://127.0.0.1:{client}", "--listen-peer-urls", f"http://127.0.0.1:{other}", "--initial-advertise-peer-urls",
            f"http://127.0.0.1:{other}", "--initial-cluster", f"default=http://127.0.0.1:{other}", stdout=asyncio.subprocess.DEVNULL))
        server = await stack.enter_async_context(process(
            str(judges / "kube-apiserver"), "--etcd-servers", f"http://127.0.0.1:{client}", "--secure-port", str(port), "--bind-address",
            "127.0.0.1", "--cert-dir", str(folder / "certs"), "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", str(key), "--service-account-signing-key-file", str(key), "--token-auth-file", str(tokens),
            "--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction", "--service-cluster-ip-range",
            "10.96.0.0/16", stdout=asyncio.subprocess.DEVNULL))
        url = f"https://127.0.0.1:{port}"
        yield Server("kube-apiserver", url, await _prepared(url), folder / "k", (etcd.pid, server.pid))


async def _prepared(url: str) -> str:
    """The token of an administrator that is a service account, as on the other side."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN}"}, connector=_connector()) as session:
        async def post(path: str, body: dict[str, Any]) -> Any:
            async with session.post(f"{url}{path}", json=body) as answer:
                return await answer.json()

        async with asyncio.timeout(UP_S):
            while not await _is_ready(session, url):
                await asyncio.sleep(0.2)
        await post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        await post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
            "metadata": {"name": "bench"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]})
        reply = await post("/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {}})
        return str(reply["status"]["token"])


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


def _connector() -> aiohttp.TCPConnector:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return aiohttp.TCPConnector(ssl=context, limit=0)


async def fill(server: Server, pods: int) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}, connector=_connector()) as session:
        for index in range(pods):
            async with session.post(f"{server.url}/api/v1/namespaces/default/pods", json=api_rates.pod(index)) as answer:
                if answer.status != 201:
                    sys.exit(f"{server.name}: {answer.status} {await answer.text()}")


async def rates(server: Server, seconds: float) -> None:
    """One round of every figure."""
    pods = "/api/v1/namespaces/default/pods"
    generated = {**api_rates.pod(0), "metadata": {"generateName": "made-", "labels": {"app": "made"}}}
    generated["spec"] = dict(generated["spec"], nodeName="")  # type: ignore[call-overload]
    create = api_rates.POD_SCRIPT % json.dumps(generated)
    apply = api_rates.APPLY_SCRIPT % json.dumps(api_rates.deployment())
    loads: tuple[tuple[str, str, int, str, str], ...] = (
        ("get", f"{pods}/pod-0001", 16, "", ""),
        ("list_by_label_selector", f"{pods}?labelSelector=app%3Dapp-1", 4, "", api_rates.GZIP),
        ("list_one_node", "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1", 4, "", api_rates.GZIP),
        ("list_500_gzip", f"{pods}?limit=500", 4, "", api_rates.GZIP),
        ("table_500", f"{pods}?limit=500", 4, "", api_rates.TABLE),
        ("create_configmap", "/", 32, api_rates.CREATE_SCRIPT, ""),
        ("create_pod", "/", 32, create, ""),
        ("apply_deployment", "/", 8, apply, ""),
    )
    for figure, path, connections, script, header in loads:
        before = server.cpu_s()
        rate = await api_rates.wrk(server, server.token, path, seconds, connections, script, header)  # type: ignore[arg-type]
        server.add(figure, rate)
        server.add(f"{figure}_cpu", 1000 * (server.cpu_s() - before) / max(1.0, rate * max(1, round(seconds))))


async def delays(server: Server, watchers: int, events: int) -> None:
    before = server.cpu_s()
    found = sorted(await api_rates.watch_delays(server, server.token, watchers, events))  # type: ignore[arg-type]
    server.add(f"watch_{watchers}_p50", statistics.median(found) * 1000)
    server.add(f"watch_{watchers}_p99", figures.p99(found) * 1000)
    server.add(f"watch_{watchers}_cpu", 1000 * (server.cpu_s() - before) / len(found))


async def measured(options: figures.Options) -> figures.Figures:
    seconds, rounds, pods, crowd = (1, 1, 20, 20) if options.small else (options.seconds, options.rounds, 1000, 1000)
    async with AsyncExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wherry-bench-"))) for _ in range(3)]
        servers = [await stack.enter_async_context(wherry("wherry", figures.ROOT, folders[0]))]
        if options.tree:
            servers.append(await stack.enter_async_context(wherry(f"wherry_{options.tree.name}", options.tree, folders[1])))
        if not options.small:
            servers.append(await stack.enter_async_context(peer(options.judges, folders[2])))
        for server in servers:
            await fill(server, pods)
        for number in range(rounds):
            for server in servers[number % len(servers):] + servers[:number % len(servers)]:
                await rates(server, seconds)
                await delays(server, 20, 10 if options.small else 200)
                if not options.small:
                    await delays(server, crowd, 20)
    return {
        f"{figure}_{server.name}": (statistics.median(values), _unit(figure))
        for figure in servers[0].found for server in servers for values in (server.found[figure],)
    }


def _unit(figure: str) -> str:
    return "CPU ms" if figure.endswith("_cpu") else "ms" if figure.startswith("watch") else "requests/s"


if __name__ == "__main__":
    flags = figures.parser(__doc__)
    flags.add_argument("--seconds", type=float, default=3)
    flags.add_argument("--rounds", type=int, default=3)
    flags.add_argument("--judges", type=Path, default=figures.ROOT / ".cache" / "judges" / "bin")
    flags.add_argument("--tree", type=Path)
    figures.run(flags, measured)
