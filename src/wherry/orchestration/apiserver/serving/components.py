"""ComponentStatuses: how the parts of the control plane do, made when somebody asks and never stored.

In:    a check for each part by upstream's name: `etcd-0` is this server's store, `controller-manager` and `scheduler` say
       themselves while they run (`running`).
Out:   the rows of the `componentstatuses` resource, each with the condition Healthy.
Spec:  ComponentStatus v1 (deprecated since 1.19): message "ok", or the error.
Never: is written to the store or watched.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import orjson

from wherry.kit.errors import Unavailable, WherryError
from wherry.orchestration.apiserver.registry.cache import Cached, ResourceCache
from wherry.orchestration.apiserver.registry.served import Served
from wherry.orchestration.objects.meta import Object

CHECK_TIMEOUT_S = 5.0
CONTROLLERS, SCHEDULER, STORE = "controller-manager", "scheduler", "etcd-0"

Check = Callable[[], Awaitable[None]]


class Components:
    """The parts of one server process."""

    def __init__(self, check_store: Check) -> None:
        self._check_store = check_store
        self._running: set[str] = set()

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """`name` is well while the block lasts."""
        self._running.add(name)
        try:
            yield
        finally:
            self._running.discard(name)

    def serve(self, served: Served) -> None:
        """Have this row of the table show the components."""
        served.cache = ResourceCache(served.resource.group, served.resource.plural, 0)

        async def refresh() -> None:
            served.cache.load([_entry(served, name, await self._error(name)) for name in (CONTROLLERS, STORE, SCHEDULER)], 0)

        served.refresh = refresh

    async def _error(self, name: str) -> str:
        """What is wrong with a component; "" when it is well."""
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                if name == STORE:
                    await self._check_store()
                elif name not in self._running:
                    raise Unavailable(f"{name} does not run in this server")
        except TimeoutError:
            return f"no answer in {CHECK_TIMEOUT_S:g}s"
        except WherryError as error:
            return str(error)
        return ""


def _entry(served: Served, name: str, error: str) -> Cached:
    condition = {"type": "Healthy", "status": "False", "error": error} if error else {
        "type": "Healthy", "status": "True", "message": "ok"}
    shown: Object = {"kind": served.resource.kind, "apiVersion": served.resource.api_version, "metadata": {"name": name},
                     "conditions": [condition]}
    return Cached(name, orjson.dumps(shown), 0, 0)
