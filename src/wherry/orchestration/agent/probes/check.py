"""One check of a container: exec, httpGet, tcpSocket or grpc, with a time limit. Hooks use the same.

Out:   `Result`: passed, failed (with the text for the event), or unknown when the check itself could not be made.
Spec:  core/v1 Probe; HTTP 200-399 passes; body read limit 10 KiB; redirects to another host pass with a warning.
"""

import asyncio
import os
from dataclasses import dataclass
from enum import Enum

import aiohttp

from wherry.container.runtime.engine import Engine
from wherry.kit.errors import Forbidden, TimedOut, WherryError
from wherry.orchestration.agent.probes import grpc_health
from wherry.orchestration.agent.probes.addresses import Pinned, addresses_of
from wherry.orchestration.objects.meta import Object

BODY_BYTES_MAX = 10 * 1024
OUTPUT_CHARACTERS_MAX = 1024
REDIRECTS_MAX = 10
USER_AGENT = "kube-probe/1.37"


class Outcome(Enum):
    """What a check found."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """`text` as it stands in the event after "Readiness probe failed: "."""

    outcome: Outcome
    text: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The container that is checked. `address` is the pod's, as the host reaches it."""

    container_id: str
    container: Object
    address: str
    is_host_network: bool = False  # then the machine's loopback is the pod's own


async def check(handler: Object, target: Target, engine: Engine, *, timeout_s: float) -> Result:
    """Make the check that `handler` (a probe or a lifecycle handler) describes."""
    if (command := handler.get("exec")) is not None:
        return await _exec(command, target, engine, timeout_s)
    if (action := handler.get("httpGet")) is not None:
        return await _http(action, target, timeout_s)
    if (action := handler.get("tcpSocket")) is not None:
        return await _tcp(action, target, timeout_s)
    if (action := handler.get("grpc")) is not None:
        serving, text = await grpc_health.check(
            target.address, int(action["port"]), str(action.get("service") or ""), timeout_s=timeout_s
        )
        return Result(Outcome.PASSED if serving else Outcome.FAILED, text)
    return Result(Outcome.UNKNOWN, "missing probe handler")


def port_number(port: object, container: Object) -> int | None:
    """A number, or a name among the container's ports."""
    text = str(port)
    if text.isdigit():
        return int(text)
    named = (p for p in container.get("ports") or () if p.get("name") == text)
    return next((int(p["containerPort"]) for p in named), None)


async def _exec(command: Object, target: Target, engine: Engine, timeout_s: float) -> Result:
    argv = tuple(map(str, command.get("command") or ()))
    try:
        found = await engine.exec_sync(target.container_id, argv, timeout_s=timeout_s)
    except TimedOut:
        return Result(Outcome.FAILED, f'command timed out: "{" ".join(argv)}" timed out after {timeout_s:g}s')
    except WherryError as error:
        return Result(Outcome.UNKNOWN, str(error))
    output = (found.stdout + found.stderr)[:BODY_BYTES_MAX].decode(errors="replace")
    if found.exit_code == 0:
        return Result(Outcome.PASSED, output)
    return Result(Outcome.FAILED, output[:OUTPUT_CHARACTERS_MAX])


async def _http(action: Object, target: Target, timeout_s: float) -> Result:
    port = port_number(action.get("port"), target.container)
    if port is None:
        return Result(Outcome.UNKNOWN, f"invalid port: {action.get('port')!r}")
    host = str(action.get("host") or target.address)
    scheme = str(action.get("scheme") or "HTTP").lower()
    path = str(action.get("path") or "/")
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path if path.startswith('/') else f'/{path}'}"
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
    headers |= {str(h["name"]): str(h.get("value", "")) for h in action.get("httpHeaders") or ()}
    limit = aiohttp.ClientTimeout(total=timeout_s)
    try:
        resolver = Pinned(await _addresses(host, target, timeout_s))
        connector = aiohttp.TCPConnector(ssl=False, resolver=resolver, use_dns_cache=False)
        async with aiohttp.ClientSession(timeout=limit, connector=connector) as session:
            return await _get(session, url, headers, host)
    except TimeoutError:
        return Result(
            Outcome.FAILED, f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        )
    except aiohttp.ClientConnectorError as error:
        return Result(Outcome.FAILED, f'Get "{url}": dial tcp {error.host}:{error.port}: connect: {_short(error)}')
    except Forbidden as error:
        return Result(Outcome.FAILED, f'Get "{url}": {error}')
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Result(Outcome.FAILED, f'Get "{url}": {_short(error)}')


async def _get(session: aiohttp.ClientSession, url: str, headers: dict[str, str], host: str) -> Result:
    where = url
    for _ in range(REDIRECTS_MAX):
        async with session.get(where, headers=headers, allow_redirects=False) as answer:
            location = answer.headers.get("location")
            if answer.status in (301, 302, 303, 307, 308) and location:
                following = answer.url.join(type(answer.url)(location))
                if following.host != answer.url.host:
                    return Result(Outcome.PASSED, f"Probe terminated redirects, Response body: {location}")
                where = str(following)
                continue
            body = (await answer.content.read(BODY_BYTES_MAX)).decode(errors="replace")
            if 200 <= answer.status < 400:
                return Result(Outcome.PASSED, body)
            return Result(Outcome.FAILED, f"HTTP probe failed with statuscode: {answer.status}")
    return Result(Outcome.FAILED, f'Get "{url}": stopped after {REDIRECTS_MAX} redirects')


async def _tcp(action: Object, target: Target, timeout_s: float) -> Result:
    port = port_number(action.get("port"), target.container)
    if port is None:
        return Result(Outcome.UNKNOWN, f"invalid port: {action.get('port')!r}")
    host = str(action.get("host") or target.address)
    try:
        addresses = await _addresses(host, target, timeout_s)
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(addresses[0], port)
    except TimeoutError:
        return Result(Outcome.FAILED, f"dial tcp {host}:{port}: i/o timeout")
    except Forbidden as error:
        return Result(Outcome.FAILED, f"dial tcp {host}:{port}: {error}")
    except OSError as error:
        return Result(Outcome.FAILED, f"dial tcp {host}:{port}: connect: {_short(error)}")
    writer.close()
    return Result(Outcome.PASSED)


async def _addresses(host: str, target: Target, timeout_s: float) -> tuple[str, ...]:
    if host == target.address:
        return (host,)  # the pod's own
    async with asyncio.timeout(timeout_s):
        return await addresses_of(host, is_host_network=target.is_host_network)


def _short(error: BaseException) -> str:
    code = getattr(error, "errno", None)
    text = os.strerror(code) if code else str(error) or type(error).__name__
    return text.lower()[:OUTPUT_CHARACTERS_MAX]
