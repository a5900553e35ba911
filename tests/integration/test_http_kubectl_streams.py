"""Real kubectl against our streaming code: exec, attach, cp, logs and port-forward over WebSocket and over SPDY.

A front with the few documents kubectl reads forwards streams to a second front, the node's, which runs processes of this
machine instead of containers: API server -> node is the path a cluster has.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import ssl
import struct
import subprocess
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from wherry.kit.errors import NotFound
from wherry.kit.http import answering, splice
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.kit.http.server import serve
from wherry.orchestration.agent.streaming.byte_messages import send_as_messages
from wherry.orchestration.agent.streaming.port_forward import port_forward
from wherry.orchestration.agent.streaming.remote_command import remote_command

pytestmark = [pytest.mark.node, pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy.")]

CLIENTS = Path(__file__).parents[2] / ".cache" / "clients"
LIMIT_S = 60
TRIES_OF_1_30 = 5
POD = {
    "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "default", "uid": "u-1"},
    "spec": {"nodeName": "n", "containers": [{"name": "app", "image": "x", "stdin": True}]},
    "status": {"phase": "Running", "containerStatuses": [
        {"name": "app", "ready": True, "state": {"running": {}}, "image": "x", "imageID": "", "restartCount": 0}
    ]},
}
DOCUMENTS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
        {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get", "list"]},
        *({"name": f"pods/{name}", "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "create"]}
          for name, kind in (("exec", "PodExecOptions"), ("attach", "PodAttachOptions"), ("log", "Pod"),
                             ("portforward", "PodPortForwardOptions"))),
    ]},
    "/api/v1/namespaces/default/pods/web": POD,
}


@pytest.fixture(params=["kubectl", "kubectl-1.30"])
def kubectl(request: pytest.FixtureRequest) -> Path:
    """A real client, as `make setup` fetches it."""
    path = CLIENTS / str(request.param)
    assert path.exists(), f"no {path}: run make setup"
    return path


@pytest.fixture(params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    """Both loops the front runs on."""
    policy: asyncio.AbstractEventLoopPolicy = request.param()
    return policy


class ProcessSession:
    """The engine's `Session` over a process of this machine."""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int | None) -> None:
        self._process = process
        self._terminal = terminal

    @classmethod
    async def open(cls, argv: list[str], *, tty: bool, stdin: bool) -> "ProcessSession":
        if argv[0] == "missing":
            raise NotFound('exec: "missing": executable file not found in $PATH')
        if not tty:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=pipe if stdin else asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe,
                start_new_session=True,
            )
            return cls(process, None)
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        return cls(process, ours)

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        if self._terminal is not None:
            while data := await asyncio.to_thread(_read_terminal, self._terminal):
                yield "stdout", data
            return
        merged: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(4)

        async def follow(name: str, reader: asyncio.StreamReader) -> None:
            while data := await reader.read(32768):
                await merged.put((name, data))
            await merged.put((name, b""))

        assert self._process.stdout is not None and self._process.stderr is not None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow("stdout", self._process.stdout))
            tasks.create_task(follow("stderr", self._process.stderr))
            ended = 0
            while ended < 2:
                name, data = await merged.get()
                ended += not data
                if data:
                    yield name, data

    async def write_stdin(self, data: bytes) -> None:
        if self._terminal is not None:
            os.write(self._terminal, data)
            return
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        if self._terminal is None and self._process.stdin is not None:
            self._process.stdin.close()

    async def resize(self, width: int, height: int) -> None:
        if self._terminal is not None:
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def wait(self) -> int:
        return await self._process.wait()

    async def close(self) -> None:
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()


def _read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 32768)
    except OSError:
        return b""


async def _slowly() -> AsyncIterator[bytes]:
    for index in range(3):
        yield b"line %d\n" % index


async def node(request: Request) -> Response | Upgrade:
    """What the node agent serves."""
    what = request.path.rsplit("/", 1)[-1]
    if what == "exec":
        return remote_command(
            request, lambda: ProcessSession.open(
                request.query["command"], tty=request.param("tty") == "true", stdin=request.param("stdin") == "true"
            )
        )
    if what == "attach":
        argv = ["sh", "-c", "echo attached; read line; echo got $line"]
        return remote_command(request, lambda: ProcessSession.open(argv, tty=False, stdin=True))
    if what == "portforward":
        return port_forward(request, lambda port: asyncio.open_connection("127.0.0.1", port))
    if "upgrade" in request.headers:
        return send_as_messages(request, _slowly())
    return Response(200, [("content-type", "text/plain")], _slowly())


@pytest.fixture(scope="module")
def node_tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(the node's context, the API server's): streams cross TLS as they do in a cluster."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key",
         "-out", folder / "cert"], check=True, capture_output=True,
    )
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(folder / "cert", folder / "key")
    return ours, ssl.create_default_context(cafile=str(folder / "cert"))


@pytest.fixture
async def url(node_tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[str]:
    """Where kubectl finds the API."""
    async with serve(node, tls=node_tls[0]) as behind:

        async def front(request: Request) -> Response | Upgrade:
            if request.path.rsplit("/", 1)[-1] in ("exec", "attach", "portforward", "log"):
                return await splice.forward(
                    request, host="127.0.0.1", port=behind.port, target=request.raw_target, tls=node_tls[1]
                )
            document = DOCUMENTS.get(request.path)
            if document is None:
                return answering.plain(404)
            return Response(200, [("content-type", "application/json")], json.dumps(document).encode())

        async with serve(front) as server:
            yield f"http://127.0.0.1:{server.port}"


def environment(protocol: str, home: Path) -> dict[str, str]:
    flag = "true" if protocol == "websocket" else "false"
    return {
        "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": flag, "KUBECTL_PORT_FORWARD_WEBSOCKETS": flag, "HOME": str(home),
        "PATH": os.environ["PATH"],
    }


async def run(kubectl: Path, url: str, env: dict[str, str], *args: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """(exit code, stdout, stderr). kubectl 1.30 reads its WebSocket before it knows its own streams, and drops what comes first on a
    busy machine; newer ones wait. That is told by it and asked again.
    """
    for _ in range(TRIES_OF_1_30):
        answer = await run_once(kubectl, url, env, *args, stdin=stdin)
        if kubectl.name != "kubectl-1.30" or b"Unknown stream id" not in answer[2]:
            break
    return answer


async def run_once(kubectl: Path, url: str, env: dict[str, str], *args: str, stdin: bytes) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        kubectl, "--server", url, *args, env=env, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out, err


protocols = pytest.mark.parametrize("protocol", ["websocket", "spdy"])


@protocols
async def test_kubectl_exec_separates_outputs_and_takes_the_exit_code(kubectl: Path, protocol: str, url: str, tmp_path: Path):
    env = environment(protocol, tmp_path)
    code, out, err = await run(
        kubectl, url, env, "exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"
    )
    assert (code, out) == (7, b"out\n")
    assert err.startswith(b"err\n") and b"exit code 7" in err
    code, out, err = await run(kubectl, url, env, "exec", "web", "--", "missing")
    assert code == 1 and b"executable file not found" in err


@protocols
async def test_kubectl_exec_passes_megabytes_both_ways_and_the_end_of_input(
    kubectl: Path, protocol: str, url: str, tmp_path: Path
):
    blob = os.urandom(5_000_000)
    env = environment(protocol, tmp_path)
    code, out, err = await run(kubectl, url, env, "exec", "-i", "web", "--", "cat", stdin=blob)
    assert (code, err) == (0, b"") and out == blob
    code, out, err = await run(kubectl, url, env, "exec", "-i", "web", "--", "head", "-c", "3", stdin=blob)
    assert (code, out) == (0, blob[:3])


@protocols
async def test_kubectl_cp_copies_a_tree_in_and_out(kubectl: Path, protocol: str, url: str, tmp_path: Path):
    source, inside, back = tmp_path / "source", tmp_path / "inside", tmp_path / "back"
    (source / "deep").mkdir(parents=True)
    inside.mkdir()
    (source / "deep" / "blob").write_bytes(os.urandom(1_000_000))
    (source / "empty").touch()
    env = environment(protocol, tmp_path)
    code, _, err = await run(kubectl, url, env, "cp", str(source), f"web:{inside}")
    assert code == 0, err
    code, _, err = await run(kubectl, url, env, "cp", f"web:{inside}/source", str(back))
    assert code == 0, err
    assert (back / "deep" / "blob").read_bytes() == (source / "deep" / "blob").read_bytes()
    assert (back / "empty").exists()


@protocols
async def test_kubectl_attach_sends_input_and_sees_output(kubectl: Path, protocol: str, url: str, tmp_path: Path):
    code, out, err = await run(
        kubectl, url, environment(protocol, tmp_path), "attach", "-i", "web", stdin=b"hello\n"
    )
    assert code == 0, err
    assert b"got hello\n" in out


@protocols
async def test_kubectl_exec_sets_the_terminal_size(kubectl: Path, protocol: str, url: str, tmp_path: Path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    script = "until [ \"$(stty size)\" = '33 101' ]; do sleep 0.05; done; echo size is right"
    process = await asyncio.create_subprocess_exec(
        kubectl, "--server", url, "exec", "-it", "web", "--", "sh", "-c", script,
        env=environment(protocol, tmp_path), stdin=theirs, stdout=theirs, stderr=theirs,
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(LIMIT_S):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"size is right" in _read_terminal(ours)
    os.close(ours)


async def test_kubectl_logs_streams(kubectl: Path, url: str, tmp_path: Path):
    code, out, err = await run(kubectl, url, environment("websocket", tmp_path), "logs", "web")
    assert (code, out) == (0, b"line 0\nline 1\nline 2\n"), err


@protocols
async def test_kubectl_port_forward_carries_many_connections_and_survives_a_refused_one(
    kubectl: Path, protocol: str, url: str, tmp_path: Path
):
    blob = os.urandom(300_000)

    async def application(request: Request) -> Response:
        return Response(200, [], blob + request.path.encode())

    async with serve(application) as app:
        process = await asyncio.create_subprocess_exec(
            kubectl, "--server", url, "port-forward", "web", f":{app.port}", ":1",
            env=environment(protocol, tmp_path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                assert process.stdout is not None and process.stderr is not None
                local = [await _local_port(process.stdout), await _local_port(process.stdout)]
                bodies = await asyncio.gather(*(_fetch(local[0], f"/{index}") for index in range(20)))
                assert bodies == [blob + f"/{index}".encode() for index in range(20)]
                reader, writer = await asyncio.open_connection("127.0.0.1", local[1])
                assert await reader.read() == b""
                writer.close()
                line = b""
                while b"error forwarding port 1" not in line:
                    line = await process.stderr.readline()
                    assert line
        finally:
            with contextlib.suppress(ProcessLookupError):  # newer ones end by themselves after a refused connection
                process.kill()
            await process.wait()


async def _local_port(output: asyncio.StreamReader) -> int:
    while True:
        line = (await output.readline()).decode()
        assert line, "kubectl ended"
        if "127.0.0.1:" in line:
            return int(line.split("127.0.0.1:")[1].split(" ")[0])


async def _fetch(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    data = await reader.read()
    writer.close()
    return data.partition(b"\r\n\r\n")[2]
