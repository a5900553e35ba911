"""Start the supervisor as a daemon and watch the cluster come up; take it down again.

In:    the node's settings.
Out:   a running supervisor (`start`), the moment the node is Ready (`wait_ready`), nothing left running (`stop`).
Never: imports a component; `wherry up` has about a second.
"""

import asyncio
import http.client
import json
import os
import select
import signal
import ssl
import subprocess
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from wherry.assembly import supervisor
from wherry.assembly.components import PROCESSES, rows
from wherry.assembly.node import SERVER_NAME, NodeSettings
from wherry.assembly.settings import data_dir_flag
from wherry.kit.clock import parse_rfc3339
from wherry.kit.errors import Broken, TimedOut, Unavailable

RETRY_S = 0.02  # between connection attempts while the server starts
SUPERVISOR_STOP_LIMIT_S = 45.0  # three components, each given supervisor.STOP_LIMIT_S
KILL_LIMIT_S = 5.0
LOG_TAIL_LINES = 12


def is_running(settings: NodeSettings) -> bool:
    """True while a supervisor holds the cluster's lock."""
    return bool(supervisor.holder(supervisor.lock_path(settings, "supervisor")))


def start(settings: NodeSettings) -> None:
    """Start the supervisor detached from this terminal, unless it runs."""
    supervisor.stopping_file(settings).unlink(missing_ok=True)
    for name in PROCESSES:
        supervisor.broken_file(settings, name).unlink(missing_ok=True)
    if not is_running(settings):
        start_supervisor(settings)


def start_supervisor(settings: NodeSettings) -> None:
    """Start one more supervisor; it ends by itself when another holds the lock."""
    settings.log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.log_dir / "supervisor.log").open("ab") as output:
        subprocess.Popen(
            supervisor.command(settings, "supervisor"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )


def tls_context(settings: NodeSettings) -> ssl.SSLContext:
    """Trusts the cluster's CA and presents the admin's certificate, on a node that joined the node's."""
    folder, who = (settings.identity_dir, "node") if settings.is_joined else (settings.authority_dir, "admin")
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / f"{who}.pem")
    return context


class _Connection(http.client.HTTPSConnection):
    """By whatever address the API server is reached, it proves to be the API server."""

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=SERVER_NAME)  # type: ignore[attr-defined]


def get(settings: NodeSettings, path: str, *, timeout_s: float = 5.0) -> Any:
    """GET a JSON document from the API server as the admin, on a node that joined as that node. Raises `Unavailable`."""
    try:
        connection = _Connection(urlsplit(settings.api_url).netloc, timeout=timeout_s, context=tls_context(settings))
        connection.request("GET", path, headers={"Accept": "application/json"})
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"the API server at {settings.api_url} does not answer ({error}); see: wherry status") from error
    if reply.status != 200:
        raise Unavailable(f"the API server answers {reply.status} to {path}: {body[:200].decode(errors='replace')}")
    return json.loads(body)


def node_is_ready(node: dict[str, Any]) -> bool:
    """True when the node's Ready condition is True."""
    conditions = node.get("status", {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def has_agent(settings: NodeSettings) -> bool:
    """This node runs pods by an agent of ours."""
    return any(row.name == "agent" for row in rows(settings))


async def wait_ready(settings: NodeSettings, *, limit_s: float, since: datetime) -> None:
    """Return when the node is Ready and its agent has shown a sign of life after `since`; without an agent, when the API answers.

    Raises `TimedOut` with the tails of the logs; `Broken` at once when a component's data is damaged.
    """
    try:
        async with asyncio.timeout(limit_s):
            while not await asyncio.to_thread(_is_ready, settings, since):
                _raise_if_broken(settings)
                await asyncio.sleep(RETRY_S)
    except TimeoutError as error:
        tail = log_tail(settings)
        flag = data_dir_flag(settings)
        raise TimedOut(
            f"the node is not Ready after {limit_s:.0f} s. Its processes go on trying in the background: see how far they are with "
            f"`wherry status{flag}`, wait on with `wherry up{flag}` (longer with --timeout), stop with `wherry down{flag}`. "
            f"Last lines of the logs:\n{tail}"
        ) from error


def _raise_if_broken(settings: NodeSettings) -> None:
    for name in PROCESSES:
        path = supervisor.broken_file(settings, name)
        if path.exists():
            raise Broken(path.read_text(encoding="utf-8"))


def _is_ready(settings: NodeSettings, since: datetime) -> bool:
    # The node's status may be from before a crash; only the lease tells that this life's agent has come so far.
    try:
        if not has_agent(settings):
            get(settings, "/api/v1/namespaces/default")
            return True
        lease = get(settings, f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{settings.node_name}")
        if parse_rfc3339(lease["spec"]["renewTime"]) < since:
            return False
        return node_is_ready(get(settings, f"/api/v1/nodes/{settings.node_name}"))
    except Unavailable:
        return False


def log_tail(settings: NodeSettings) -> str:
    """The last lines of every component's log."""
    parts = []
    for name in ("supervisor", *PROCESSES):
        path = settings.log_dir / f"{name}.log"
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
            parts += [f"--- {path}", *lines]
    return "\n".join(parts)


def stop(settings: NodeSettings) -> None:
    """End the supervisor and every component of the cluster, also when the supervisor is already dead."""
    if settings.run_dir.exists():
        supervisor.stopping_file(settings).touch()  # so that no component starts a new supervisor
    for name in ("supervisor", *reversed(PROCESSES)):
        if pid := supervisor.holder(supervisor.lock_path(settings, name)):
            _end(pid)
        for pid in supervisor.started(settings, name):  # just started by a supervisor that is no more
            _end(pid)


def _end(pid: int) -> None:
    """TERM, and KILL after a while. Returns when the process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number, limit_s in ((signal.SIGTERM, SUPERVISOR_STOP_LIMIT_S), (signal.SIGKILL, KILL_LIMIT_S)):
            signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], limit_s)[0]:  # readable once the process has ended
                return
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
