"""Everything the dialects say, as one model with endpoints and certificates, and all statuses.

In:    a snapshot; what Envoy refused; the time.
Out:   `Compiled`. Pure but for what it remembers to be quick.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wherry.application.gateway import ownership, ownership_told
from wherry.application.gateway.model import certificates
from wherry.application.gateway.model.backend_tls import BACKEND_TLS, POLICY_VIEWS, policies_of
from wherry.application.gateway.model.contract import Dialect, Notice, Status
from wherry.application.gateway.model.ending import CertificateEnds
from wherry.application.gateway.model.freshness import Lack
from wherry.application.gateway.model.kinds import BACKEND_TLS_POLICIES
from wherry.application.gateway.model.services import SLICES_BY_SERVICE, endpoints_of
from wherry.application.gateway.model.snapshot import Memo, Reader, Snapshot, by_service
from wherry.application.gateway.model.values import Backend, Endpoint, GatewayModel, Listener, Secret, backends_of
from wherry.orchestration.objects.kinds import ENDPOINT_SLICES, SECRETS
from wherry.orchestration.objects.meta import Object

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Compiled:
    """One moment, understood."""

    model: GatewayModel
    statuses: tuple[Status, ...]
    notices: tuple[Notice, ...] = ()
    lacks: frozenset[Lack] = frozenset()  # what was looked for in vain, but for what was so the last time
    due_at: datetime | None = None  # when the same snapshot says something else: the next end of a certificate


class Compiler:
    """Compiles snapshot after snapshot with the same dialects. `now` is asked at each."""

    def __init__(self, dialects: Sequence[Dialect], now: Callable[[], datetime]) -> None:
        self._dialects = tuple(dialects)
        self._now = now
        self._ends = CertificateEnds()
        self._endpoints: Memo[tuple[Endpoint, ...]] = Memo()
        self._secrets: Memo[Secret] = Memo()

    def compile(self, snapshot: Snapshot, rejected: Mapping[str, str] | None = None) -> Compiled:
        """Model and statuses of the snapshot; `rejected` is Envoy's words by owner of a listener."""
        snapshot = snapshot.with_table(SLICES_BY_SERVICE, by_service(snapshot.all(ENDPOINT_SLICES)))
        secured, policies = policies_of(snapshot.all(BACKEND_TLS_POLICIES), snapshot)
        snapshot = snapshot.with_table(BACKEND_TLS, secured).with_table(POLICY_VIEWS, {"": policies})
        snapshot, due_at = self._ends.look(snapshot, self._now())
        parts = [dialect.compile(snapshot, dict(rejected or {})) for dialect in self._dialects]
        listeners = tuple(listener for part in parts for listener in part.listeners)
        listeners, conflicts = ownership.settle(listeners, snapshot)
        statuses = tuple(status for part in parts for status in part.statuses)
        notices = tuple(notice for part in parts for notice in part.notices)
        if conflicts:
            statuses = ownership_told.statuses_with(statuses, conflicts, listeners)
            notices += tuple(ownership_told.notices_of(conflicts, snapshot))
        model = GatewayModel(listeners, self._all_endpoints(listeners, snapshot), self._all_secrets(listeners, snapshot))
        return Compiled(model, statuses, notices, frozenset(snapshot.lacking), due_at)

    def _all_endpoints(
        self, listeners: tuple[Listener, ...], snapshot: Snapshot
    ) -> tuple[tuple[Backend, tuple[Endpoint, ...]], ...]:
        backends = backends_of(listeners)
        found = tuple((backend, self._endpoints.of(backend, None, snapshot, _reading(backend))) for backend in backends)
        self._endpoints.keep_only(backends)
        return found

    def _all_secrets(self, listeners: tuple[Listener, ...], snapshot: Snapshot) -> tuple[Secret, ...]:
        names = sorted({name for listener in listeners for name in listener.certificates})
        found = []
        for name in names:
            obj = snapshot.of(SECRETS, name)
            if obj is not None:
                found.append(self._secrets.of(name, obj, snapshot, _secret))
        self._secrets.keep_only(names)
        return tuple(found)


def _reading(backend: Backend) -> Callable[[None, Reader], tuple[Endpoint, ...]]:
    return lambda _, reader: endpoints_of(reader, backend)


def _secret(obj: Object, _: Reader) -> Secret:
    # Dialects name only secrets they have checked in the same snapshot.
    return certificates.secret_of(obj)
