"""postStart and preStop hooks.

Spec: core/v1 LifecycleHandler: exec, httpGet, sleep (tcpSocket is accepted by the API and does nothing upstream).
      An https hook that meets a plain HTTP server is tried again without TLS, as kubelet does.
"""

import asyncio

from wherry.container.runtime.engine import Engine
from wherry.kit.errors import WherryError
from wherry.orchestration.agent.probes.check import Outcome, Target, check
from wherry.orchestration.objects.meta import Object

POST_START_TIMEOUT_S = 3600.0  # upstream sets no limit; a hook of an hour is hung


class HookFailed(WherryError):
    """The hook ended badly; the text is for the event."""


async def run_hook(handler: Object, target: Target, engine: Engine, *, timeout_s: float) -> None:
    """Return when the hook succeeded; raise `HookFailed`."""
    if (pause := handler.get("sleep")) is not None:
        await asyncio.sleep(min(float(pause.get("seconds") or 0), timeout_s))
        return
    if not handler.get("exec") and not handler.get("httpGet"):
        return
    result = await check(_with_default_port(handler), target, engine, timeout_s=timeout_s)
    if result.outcome == Outcome.PASSED:
        return
    if _is_plain_behind_https(handler, result.text):
        plain = {"httpGet": {**handler["httpGet"], "scheme": "HTTP"}}
        result = await check(_with_default_port(plain), target, engine, timeout_s=timeout_s)
        if result.outcome == Outcome.PASSED:
            return
    raise HookFailed(result.text or "hook failed")


def _with_default_port(handler: Object) -> Object:
    """httpGet hooks may leave the port out: 80 or 443."""
    action = handler.get("httpGet")
    if not action or action.get("port"):
        return handler
    return {**handler, "httpGet": {**action, "port": 443 if action.get("scheme") == "HTTPS" else 80}}


def _is_plain_behind_https(handler: Object, text: str) -> bool:
    scheme = (handler.get("httpGet") or {}).get("scheme")
    return scheme == "HTTPS" and ("ssl" in text or "wrong version number" in text)
