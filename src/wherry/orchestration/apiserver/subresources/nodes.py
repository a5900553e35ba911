"""Requests that a node's agent answers: logs, exec, attach, port-forward, and the node proxy.

Spec:  kubelet API paths /containerLogs, /exec, /attach, /portForward; the connection is TLS with the API server's
       client certificate.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from wherry.kit.http import splice
from wherry.kit.http.message import Request, Response, Upgrade
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.admission.chain import CONNECT, AdmissionRequest
from wherry.orchestration.apiserver.call.request import Call
from wherry.orchestration.apiserver.registry.served import ServedTable
from wherry.orchestration.apiserver.verbs.handlers import Verbs
from wherry.orchestration.objects.kinds import NODES
from wherry.orchestration.objects.meta import Object

ADDRESS_TYPES = ("InternalIP", "ExternalIP", "Hostname")
AGENT_PORT = 10250
LOG_OPTIONS = ("follow", "previous", "sinceSeconds", "sinceTime", "timestamps", "tailLines", "limitBytes",
               "insecureSkipTLSVerifyBackend", "stream")
STREAM_FLAGS = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
TRUE = ("true", "1")
SUCCESS = range(200, 207)
REFUSAL_BYTES_MAX = 50_000


@dataclass(frozen=True, slots=True)
class AgentAddress:
    """Where a node's agent listens."""

    host: str
    port: int


class NodeAgents:
    """Finds agents and forwards to them. `tls` None: plain HTTP, for tests."""

    def __init__(self, verbs: Verbs, table: ServedTable, tls: ssl.SSLContext | None) -> None:
        self._verbs = verbs
        self._table = table
        self._tls = tls

    def address(self, node_name: str) -> AgentAddress:
        """Raise `ApiError` when the node is not known or has no address."""
        cached = self._table.of(NODES).cache.items.get(node_name)
        if cached is None:
            raise errors.not_found(NODES, node_name)
        status = cached.obj().get("status", {})
        port = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or AGENT_PORT
        addresses = {a.get("type"): a.get("address") for a in status.get("addresses") or ()}
        for kind in ADDRESS_TYPES:
            if addresses.get(kind):
                return AgentAddress(addresses[kind], port)
        raise errors.ApiError(500, "InternalError", f"no preferred addresses found; known addresses: {list(addresses)}")

    async def forward(self, request: Request, node_name: str, target: str) -> Response | Upgrade:
        """Ask the agent of the node for `target`."""
        address = self.address(node_name)
        return await splice.forward(
            request, host=address.host, port=address.port, tls=self._tls, target=target, server_name=node_name)

    async def log(self, call: Call) -> Response | Upgrade:
        """GET pods/<name>/log."""
        pod = await self._pod(call)
        container = self._container(pod, call.request.param("container"))
        options = {name: call.request.param(name) for name in LOG_OPTIONS if name in call.request.query}
        path = f"/containerLogs/{call.namespace}/{call.target.name}/{container}"
        answer = await self._ask(call, pod, path, list(options.items()))
        if isinstance(answer, Response) and answer.status not in SUCCESS:
            raise await refusal(answer)
        return answer

    async def exec(self, call: Call) -> Response | Upgrade:
        """GET or POST pods/<name>/exec."""
        return await self._stream(call, "exec")

    async def attach(self, call: Call) -> Response | Upgrade:
        """GET or POST pods/<name>/attach."""
        return await self._stream(call, "attach")

    async def portforward(self, call: Call) -> Response | Upgrade:
        """GET or POST pods/<name>/portforward."""
        pod = await self._pod(call)
        await self._admit(call, "PodPortForwardOptions", "")
        ports = [("port", port) for text in call.request.query.get("ports", ()) for port in text.split(",")]
        return await self._ask(call, pod, f"/portForward/{call.namespace}/{call.target.name}", ports)

    async def node_proxy(self, call: Call) -> Response | Upgrade:
        """Any method on nodes/<name>/proxy/<path>."""
        await self._verbs.registry.fresh()
        name = call.target.name.rpartition(":")[0] or call.target.name
        _, _, query = call.request.raw_target.partition("?")
        target = "/" + quote(call.target.rest) + (f"?{query}" if query else "")
        return await self.forward(call.request, name, target)

    async def _stream(self, call: Call, what: str) -> Response | Upgrade:
        pod = await self._pod(call)
        query = call.request.query
        container = self._container(pod, call.request.param("container"))
        await self._admit(call, f"Pod{what.capitalize()}Options", container)
        options = [("command", word) for word in query.get("command", ())]
        options += [(agent, "1") for ours, agent in STREAM_FLAGS if call.request.param(ours) in TRUE]
        if not any(name in ("input", "output", "error") for name, _ in options):
            raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")
        return await self._ask(call, pod, f"/{what}/{call.namespace}/{call.target.name}/{container}", options)

    async def _admit(self, call: Call, kind: str, container: str) -> None:
        """Webhooks may refuse connections."""
        query = call.request.query
        options: Object = {"kind": kind, "apiVersion": "v1"}
        if container:
            options |= {flag: call.request.param(flag) in TRUE for flag, _ in STREAM_FLAGS} | {"container": container}
        if query.get("command"):
            options["command"] = query["command"]
        request = AdmissionRequest(
            CONNECT, call.served.resource, call.namespace, call.target.name, call.target.subresource, call.user, options)
        await self._verbs.writer.chain.validate(request)

    async def _ask(self, call: Call, pod: Object, path: str, options: list[tuple[str, str]]) -> Response | Upgrade:
        node = pod["spec"].get("nodeName", "")
        if not node:
            raise errors.bad_request(f"pod {call.target.name} does not have a host assigned")
        query = f"?{urlencode(options)}" if options else ""
        return await self.forward(call.request, node, f"{quote(path)}{query}")

    async def _pod(self, call: Call) -> Object:
        return call.served.obj(await self._verbs.read(_plain(call)))

    def _container(self, pod: Object, asked: str) -> str:
        """The container asked for, or the only one. Raise `ApiError` 400."""
        spec, name = pod["spec"], pod["metadata"]["name"]
        names = [c["name"] for c in spec.get("containers") or ()]
        init = [c["name"] for c in spec.get("initContainers") or ()]
        ephemeral = [c["name"] for c in spec.get("ephemeralContainers") or ()]
        if not asked:
            if len(names) == 1:
                return str(names[0])
            choice = f"choose one of: [{' '.join(names)}]"
            if init:
                choice += f" or one of the init containers: [{' '.join(init)}]"
            raise errors.bad_request(f"a container name must be specified for pod {name}, {choice}")
        if asked not in (*names, *init, *ephemeral):
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked


async def refusal(answer: Response) -> errors.ApiError:
    """The agent's plain text as a Status, as clients expect it from the API server (GenericHttpResponseChecker)."""
    text = (await _read_some(answer.body)).decode(errors="replace").strip()
    if answer.status == 400:
        return errors.bad_request(text)
    if answer.status == 404:
        return errors.ApiError(404, "NotFound", f"the server could not find the requested resource ({text})")
    return errors.ApiError(500, "InternalError", f"Internal error occurred: {text}")


async def _read_some(body: bytes | Sequence[bytes] | AsyncIterator[bytes]) -> bytes:
    if isinstance(body, bytes):
        return body[:REFUSAL_BYTES_MAX]
    if not isinstance(body, AsyncIterator):
        return b"".join(bytes(part) for part in body)[:REFUSAL_BYTES_MAX]
    read = b""
    async for part in body:
        read += part
        if len(read) >= REFUSAL_BYTES_MAX:
            break
    return read[:REFUSAL_BYTES_MAX]


def _plain(call: Call) -> Call:
    """The call without the options of the subresource, so that the object is read fresh."""
    return Call(Request("GET", call.request.path, call.request.raw_target), call.user, call.target, call.served)
