"""/livez, /readyz and /healthz: named checks, each also at a path of its own.

In:    checks: coroutines that return when all is well and raise `WherryError` or `TimeoutError` otherwise.
Out:   `ok`, or with `?verbose` or on failure one line a check; 500 when one fails.
       `slis` are the results as metrics, for /metrics/slis.
Spec:  https://kubernetes.io/docs/reference/using-api/health-checks/ ; .../instrumentation/slis/
Never: tells why a check failed to the caller; the log has it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from wherry.kit.errors import WherryError
from wherry.kit.http.message import Response
from wherry.kit.metrics import Registry

ENDPOINTS = ("healthz", "livez", "readyz")
CHECK_TIMEOUT_S = 5.0  # a check that takes longer has failed; kubelet probes wait 15 s for all of them
TEXT = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-cache, private"),
        ("x-content-type-options", "nosniff")]

Check = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


async def ping() -> None:
    """Always well: answering is the proof."""


class Health:
    """The checks of one server; `ping` is always among them."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Check]] = {endpoint: {"ping": ping} for endpoint in ENDPOINTS}
        self.slis = Registry()
        self._seen: dict[str, set[str]] = {}  # checks with a result, by endpoint
        self._now = self.slis.gauge("kubernetes_healthcheck", "The result of the last check, 1 is well.", ("name", "type"))
        self._total = self.slis.counter(
            "kubernetes_healthchecks_total", "Results of all checks.", ("name", "status", "type"))

    def add(self, name: str, check: Check, endpoints: Sequence[str] = ENDPOINTS) -> None:
        """Ask `check` too. What only delays readiness (caches filling, shutting down) goes to `("readyz",)`."""
        for endpoint in endpoints:
            self._checks[endpoint][name] = check

    async def answer(self, path: str, query: Mapping[str, Sequence[str]]) -> Response | None:
        """The answer for `/livez`, `/readyz/ping`, ...; None when the path is none of these."""
        endpoint, _, name = path.strip("/").partition("/")
        checks = self._checks.get(endpoint)
        if checks is None or (name and name not in checks):
            return None
        if name:
            is_well = await self._is_well(endpoint, name, checks[name])
            return _text(b"ok" if is_well else f"internal server error: {name} failed".encode(), 200 if is_well else 500)
        return await self._all(endpoint, checks, set(query.get("exclude") or ()), is_verbose="verbose" in query)

    async def _all(self, endpoint: str, checks: Mapping[str, Check], excluded: set[str], *, is_verbose: bool) -> Response:
        lines: list[str] = []
        failed = False
        for name, check in checks.items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
            elif await self._is_well(endpoint, name, check):
                lines.append(f"[+]{name} ok")
            else:
                failed = True
                lines.append(f"[-]{name} failed: reason withheld")
        unknown = sorted(excluded - checks.keys())
        if unknown:
            names = ", ".join(f'"{name}"' for name in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {names}")
        lines.append(f"{endpoint} check {'failed' if failed else 'passed'}\n")
        if failed:
            return _text("\n".join(lines).encode(), 500)
        return _text("\n".join(lines).encode() if is_verbose else b"ok", 200)

    async def results(self) -> bytes:
        """The results as metrics; what nobody has asked for yet is asked now."""
        for endpoint, checks in self._checks.items():
            for name in checks.keys() - self._seen.get(endpoint, set()):
                await self._is_well(endpoint, name, checks[name])
        return self.slis.render()

    async def _is_well(self, endpoint: str, name: str, check: Check) -> bool:
        is_well = await _is_well(name, check)
        self._seen.setdefault(endpoint, set()).add(name)
        self._now.set(int(is_well), (name, endpoint))
        self._total.inc((name, "success" if is_well else "error", endpoint))
        return is_well


async def _is_well(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except (WherryError, TimeoutError) as error:
        log.warning("health check %s failed: %s", name, error)
        return False
    return True


def _text(body: bytes, status: int) -> Response:
    return Response(status, list(TEXT), body)
