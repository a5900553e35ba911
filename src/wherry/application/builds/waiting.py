"""Wait until an application runs and answers; say why not when it does not.

In:    the client, a limit.
Out:   nothing, or `TimedOut` whose message holds what the pods say.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from wherry.application.builds.settings import AppSettings, ClusterAccess
from wherry.kit.clock import loop_time
from wherry.kit.errors import NotFound, TimedOut
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects import kinds
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.well_known import LABEL_APP_NAME

PAUSE_S = 0.1
_NOT_YET = (502, 503, 504)  # the gateway: no pod behind the route yet
_NO_ROUTE_PATIENCE_S = 3.0  # a 404 may be the gateway's, which does not know the route yet, or the application's own
_ANSWER_LIMIT_S = 5.0


async def rolled_out(client: Client, app: AppSettings, access: ClusterAccess) -> None:
    """Until all replicas are of the newest version and available."""
    deadline = loop_time() + access.ready_limit_s
    while True:
        found = await client.get(kinds.DEPLOYMENTS, app.name, app.namespace)
        if is_rolled_out(found):
            return
        if loop_time() > deadline:
            pods = await client.list(kinds.PODS, app.namespace, labels=f"{LABEL_APP_NAME}={app.name}")
            reasons = "\n".join(f"  {line}" for pod in pods.items for line in explain(pod)) or "  no pod was made"
            raise TimedOut(
                f"{app.name!r} is not available after {access.ready_limit_s:.0f} s:\n{reasons}\n"
                f"look at: kubectl -n {app.namespace} logs deploy/{app.name}"
            )
        await asyncio.sleep(PAUSE_S)


async def answering(client: Client, app: AppSettings, access: ClusterAccess) -> None:
    """Until the gateway hands on the application's answer to a GET of its path."""
    began_at = loop_time()
    url = f"http://{access.gateway_address}:{access.gateway_port}{app.path}"
    seen: object = "nothing"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_LIMIT_S)) as session:
        while True:
            passed = loop_time() - began_at
            try:
                async with session.get(url, headers={"Host": app.hostname}, allow_redirects=False) as answer:
                    seen = answer.status
                    if seen not in _NOT_YET and (seen != 404 or passed > _NO_ROUTE_PATIENCE_S):
                        return
            except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
                seen = error or type(error).__name__
            if passed > access.ready_limit_s:
                raise TimedOut(f"the gateway does not lead to {app.name!r} after {passed:.0f} s; {url} gave {seen}")
            await asyncio.sleep(PAUSE_S)


async def cluster_address(client: Client, app: AppSettings) -> str:
    """The Service's own address."""
    found = await client.get(kinds.SERVICES, app.name, app.namespace)
    address = str(found.get("spec", {}).get("clusterIP", ""))
    if not address:
        raise NotFound(f"service {app.name!r} has no address")
    return address


def is_rolled_out(deployment: Mapping[str, Any]) -> bool:
    """As `kubectl rollout status` decides it. Pure."""
    status, spec = deployment.get("status") or {}, deployment.get("spec") or {}
    wanted = spec.get("replicas", 1)
    if status.get("observedGeneration", 0) < deployment.get("metadata", {}).get("generation", 0):
        return False
    counts = (status.get("updatedReplicas", 0), status.get("replicas", 0), status.get("availableReplicas", 0))
    return counts == (wanted, wanted, wanted)


def explain(pod: Object) -> list[str]:
    """What keeps a pod from being ready, a line each. Pure."""
    status = pod.get("status") or {}
    lines = []
    for container in status.get("containerStatuses") or ():
        for state in ((container.get("state") or {}).get("waiting"), (container.get("lastState") or {}).get("terminated")):
            if state:
                code = f" (exit code {state['exitCode']})" if "exitCode" in state else ""
                lines.append(f"{name_of(pod)}: {state.get('reason', '')}{code}: {state.get('message', '')}".rstrip(": "))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            lines.append(f"{name_of(pod)}: {condition.get('reason', '')}: {condition.get('message', '')}".rstrip(": "))
    return lines or [f"{name_of(pod)}: {status.get('phase', 'Pending')}, not ready"]
