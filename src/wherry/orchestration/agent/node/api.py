"""The node's HTTP API (port 10250): logs, exec, attach, port-forward, pods, metrics.

In:    `Request`. Out: `Response` or `Upgrade`. Spec: kubelet's server; facts in README.md under "refused".
Auth:  every request but none passes `Reviewer` first; without a reviewer (in-process use) the caller is trusted.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from wherry.container.runtime.engine import ContainerStatus, Session, State
from wherry.kit.errors import Forbidden, Invalid, NotFound, TimedOut, Unavailable, Unsupported, WherryError
from wherry.kit.http import websocket
from wherry.kit.http.health import Health
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.metrics import Registry
from wherry.kit.process_metrics import add_process_metrics
from wherry.orchestration.agent.facts.pod import container_named
from wherry.orchestration.agent.logs.machine_files import serve_machine_file
from wherry.orchestration.agent.logs.reader import LogOptions, parse_options, read_log
from wherry.orchestration.agent.logs.select import chosen_run
from wherry.orchestration.agent.logs.wake import Waker
from wherry.orchestration.agent.node import cadvisor, metrics
from wherry.orchestration.agent.node.review import Reviewer, Unauthorized
from wherry.orchestration.agent.plan.configs import log_path
from wherry.orchestration.agent.pod.memory import with_lost_runs
from wherry.orchestration.agent.pod.parts import Parts
from wherry.orchestration.agent.streaming.byte_messages import send_as_messages
from wherry.orchestration.agent.streaming.port_forward import port_forward
from wherry.orchestration.agent.streaming.remote_command import remote_command
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of

RUN_TIMEOUT_S = 60.0
TEXT = ("content-type", "text/plain; charset=utf-8")
PROMETHEUS = ("content-type", "text/plain; version=0.0.4; charset=utf-8")
JSON = ("content-type", "application/json")

_CODES: tuple[tuple[type[WherryError], int], ...] = (
    (Unauthorized, 401), (Forbidden, 403), (NotFound, 404), (Invalid, 400), (Unsupported, 501), (Unavailable, 503), (TimedOut, 504),
)  # fmt: skip

Answer = Response | Upgrade


class NodeApi:
    """`pods` gives the pods of this node now, `node` the Node object."""

    def __init__(
        self, parts: Parts, pods: Callable[[], list[Object]], node: Callable[[], Object], reviewer: Reviewer | None,
        health: Health,
    ) -> None:
        self._parts = parts
        self._pods = pods
        self._node = node
        self._reviewer = reviewer
        self._health = health
        self._process = Registry()
        add_process_metrics(self._process)

    async def handle(self, request: Request) -> Answer:
        """Answer one request; errors of the ten kinds become plain text answers as kubelet gives."""
        try:
            if self._reviewer is not None:
                await self._reviewer.review(request)
            return await self._route(request)
        except WherryError as error:
            code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
            return _text(f"{error}\n", code)

    async def _route(self, request: Request) -> Answer:
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["healthz" | "livez" | "readyz", *_]:
                return await self._health.answer(request.path, request.query) or _text("404 page not found\n", 404)
            case ["pods"]:
                return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._pods()})
            case ["runningpods"]:
                return _json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": self._running_pods()})
            case ["containerLogs", namespace, pod, container]:
                return self._logs(request, self._pod(namespace, pod), container)
            case ["exec", *rest]:
                return self._exec(request, *self._container(rest))
            case ["attach", *rest]:
                return self._attach(request, *self._container(rest))
            case ["portForward", namespace, pod, *_]:
                return self._port_forward(request, self._pod(namespace, pod))
            case ["run", *rest]:
                return await self._run(request, *self._container(rest))
            case ["metrics", *which]:
                return await self._metrics("/".join(which))
            case ["stats", "summary"]:
                return await self._summary()
            case ["configz"]:
                return _json({"kubeletconfig": _plain(asdict(self._parts.settings))})
            case ["logs", *rest] if request.method in ("GET", "HEAD"):
                return await serve_machine_file(self._parts.settings.machine_log_dir, rest)
            case ["checkpoint" | "debug", *_]:
                raise Unsupported(f"{request.path} is not offered by this node")
        return _text("404 page not found\n", 404)

    def _pod(self, namespace: str, name: str) -> Object:
        for pod in self._pods():
            if name_of(pod) == name and namespace_of(pod) == namespace:
                return pod
        raise NotFound(f'pod "{name}" not found in namespace "{namespace}"')

    def _container(self, rest: list[str]) -> tuple[Object, ContainerStatus]:
        """From `ns/pod/container` or `ns/pod/uid/container`; it must run."""
        if len(rest) not in (3, 4):
            raise NotFound("expected /namespace/pod/container")
        pod, name = self._pod(rest[0], rest[1]), rest[-1]
        if len(rest) == 4 and rest[2] != uid_of(pod):
            raise NotFound(f'pod "{rest[1]}" with uid {rest[2]} not found')
        if container_named(pod, name) is None:
            raise NotFound(f'container "{name}" not found in pod "{name_of(pod)}"')
        run = (self._parts.view.runs(uid_of(pod)).get(name) or (None,))[-1]
        if run is None or run.state != State.RUNNING:
            raise NotFound(f'container not found ("{name}")')
        return pod, run

    # Logs.

    def _logs(self, request: Request, pod: Object, container: str) -> Answer:
        options = parse_options(request.query, self._parts.clock.now())
        runs = with_lost_runs(pod, self._parts.view.runs(uid_of(pod))).get(container, ())
        run = chosen_run(pod, container, runs, previous=options.previous)
        path = Path(run.log_path or log_path(pod, container, run.attempt, self._parts.settings))
        content = self._follow(pod, run, path, options)
        if websocket.is_asked_for(request):
            return send_as_messages(request, content)
        return Response(200, [TEXT, ("x-content-type-options", "nosniff")], content)

    async def _follow(self, pod: Object, run: ContainerStatus, path: Path, options: LogOptions) -> AsyncIterator[bytes]:
        uid = uid_of(pod)

        def is_ended() -> bool:
            return all(
                now.id != run.id or now.state == State.EXITED for now in self._parts.view.runs(uid).get(run.name, ())
            )

        async with Waker(path.parent) as waker:
            with self._parts.view.listening(waker.wake):
                async for part in read_log(path, options, is_ended=is_ended, waker=waker):
                    yield part

    # Streams.

    def _exec(self, request: Request, pod: Object, run: ContainerStatus) -> Answer:
        argv = tuple(request.query.get("command") or ())
        if not argv:
            raise Invalid("you must specify at least 1 command for the container")
        tty, stdin = _flag(request, "tty"), _flag(request, "stdin") or _flag(request, "input")
        return remote_command(request, lambda: self._parts.engine.exec(run.id, argv, tty=tty, stdin=stdin))

    def _attach(self, request: Request, pod: Object, run: ContainerStatus) -> Answer:
        container = container_named(pod, run.name) or {}
        stdin = bool(container.get("stdin")) and (_flag(request, "stdin") or _flag(request, "input"))
        # As containerd: only a stdinOnce container without a terminal ends by the end of its input, so others are let go.
        is_let_go = stdin and (not container.get("stdinOnce") or bool(container.get("tty")))

        def open_session() -> Awaitable[Session]:
            return self._parts.engine.attach(run.id, stdin=stdin)

        return remote_command(request, open_session, ends_with_input=is_let_go)

    def _port_forward(self, request: Request, pod: Object) -> Answer:
        sandbox = self._parts.view.sandbox(uid_of(pod))
        if sandbox is None or not sandbox.ready:
            raise NotFound(f'pod not found ("{name_of(pod)}_{namespace_of(pod)}")')
        sandbox_id = sandbox.id

        async def dial(port: int) -> Any:
            return await self._parts.engine.dial(sandbox_id, port)

        return port_forward(request, dial)

    async def _run(self, request: Request, pod: Object, run: ContainerStatus) -> Response:
        argv = tuple(request.param("cmd").split(" "))
        found = await self._parts.engine.exec_sync(run.id, argv, timeout_s=RUN_TIMEOUT_S)
        return Response(200, [TEXT], found.stdout + found.stderr)

    # Figures.

    async def _metrics(self, which: str) -> Response:
        pods = self._pods()
        if which == "":
            running = self._running_pods()
            count = sum(run.state == State.RUNNING for run in self._all_runs())
            text = metrics.agent_metrics(len(running), count, self._parts.settings.node_name) + self._process.render().decode()
        elif which == "cadvisor":
            use, node = await metrics.read_use(self._parts, pods), metrics.read_node_use(self._parts)
            root, memory = self._parts.settings.cgroup_root, self._parts.memory_capacity_bytes
            now, cpus = self._parts.clock.now(), os.cpu_count() or 1
            links = await metrics.read_links(self._parts, pods)
            text = cadvisor.render(node, use, links, pods, now, root=root, cpus=cpus, memory_bytes=memory)
        elif which == "resource":
            use = await metrics.read_use(self._parts, pods)
            text = metrics.resource_metrics(metrics.read_node_use(self._parts), use, self._parts.clock.now())
        elif which == "slis":
            text = (await self._health.results()).decode()
        elif which == "probes":
            text = ""
        else:
            return _text("404 page not found\n", 404)
        return Response(200, [PROMETHEUS], text.encode())

    async def _summary(self) -> Response:
        pods = self._pods()
        use, links = await metrics.read_use(self._parts, pods), await metrics.read_links(self._parts, pods)
        node_use = metrics.read_node_use(self._parts)
        name = self._parts.settings.node_name
        return _json(metrics.summary(name, node_use, use, links, pods, self._parts.clock.now()))

    def _running_pods(self) -> list[Object]:
        return [
            pod for pod in self._pods()
            if any(run.state == State.RUNNING for h in self._parts.view.runs(uid_of(pod)).values() for run in h)
        ]  # fmt: skip

    def _all_runs(self) -> list[ContainerStatus]:
        return [run for pod in self._pods() for h in self._parts.view.runs(uid_of(pod)).values() for run in h]


def _flag(request: Request, name: str) -> bool:
    return request.param(name).lower() in ("1", "true")


def _plain(value: Any) -> Any:
    """Settings as JSON."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _text(text: str, status: int = 200) -> Response:
    return Response(status, [TEXT], text.encode())


def _json(obj: Object) -> Response:
    return Response(200, [JSON], orjson.dumps(obj))
