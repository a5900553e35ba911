"""The API server's metrics under upstream's names and labels, so that existing dashboards and alerts work.

In:    `began` and `finished` of every request, from the handler.
Out:   text through `kit.metrics.Registry`.
Spec:  https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from wherry.kit.metrics import Registry

DURATION_BUCKETS_S = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)
MUTATING = frozenset({"create", "update", "patch", "apply", "delete", "deletecollection"})
_VERBS = {"create": "POST", "update": "PUT", "connect": "CONNECT", "proxy": "CONNECT"}
_KNOWN = frozenset({"GET", "LIST", "WATCH", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION", "POST", "PUT", "CONNECT"})
_LABELS = ("component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version")
_LONG_LABELS = ("component", "group", "resource", "scope", "subresource", "verb", "version")


class Measured(NamedTuple):
    """What a request was, for its labels. `verb` is the API verb (get, list, ...); `scope` is resource, namespace,
    cluster, or "" for a path that is no resource."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    scope: str = ""
    dry_run: bool = False


class ApiMetrics:
    """Made once for an API server."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._requests = registry.counter(
            "apiserver_request_total", "Requests by verb, dry run, group, version, resource, scope, component and code.",
            ("code", *_LABELS))
        self._durations = registry.histogram(
            "apiserver_request_duration_seconds", "Response latency in seconds, long-running requests left out.",
            _LABELS, DURATION_BUCKETS_S)
        self._long = registry.gauge(
            "apiserver_longrunning_requests", "Active long-running requests (watch, exec, logs, port-forward, proxy).",
            _LONG_LABELS)
        self._inflight = registry.gauge(
            "apiserver_current_inflight_requests", "Requests being served, by kind.", ("request_kind",))
        self._watch_events = registry.counter(
            "apiserver_watch_events_total", "Events sent to watchers.", ("group", "resource", "version"))
        self._authentications = registry.counter(
            "authentication_attempts", "Authentication attempts by result.", ("result",))
        for kind in ("mutating", "readOnly"):
            self._inflight.set(0, (kind,))

    def finished(self, what: Measured, code: int, duration_s: float, *, is_long: bool = False) -> None:
        """Count a request that has been answered."""
        labels = _labels(what)
        self._requests.inc((str(code), *labels))
        if not is_long:
            self._durations.observe(duration_s, labels)

    @contextmanager
    def in_flight(self, verb: str) -> Iterator[None]:
        """Around the work of an ordinary request."""
        kind = ("mutating" if verb in MUTATING else "readOnly",)
        self._inflight.inc(kind)
        try:
            yield
        finally:
            self._inflight.dec(kind)

    @contextmanager
    def long_running(self, what: Measured) -> Iterator[None]:
        """Around a watch, exec, attach, port-forward, followed log or proxied request."""
        component, _, *rest = _labels(what)
        labels = (component, *rest)
        self._long.inc(labels)
        try:
            yield
        finally:
            self._long.dec(labels)

    def watch_event(self, group: str, version: str, resource: str, count: int = 1) -> None:
        """Events were sent."""
        self._watch_events.inc((group, resource, version), count)

    def authenticated(self, *, is_known: bool) -> None:
        """A caller proved who it is, or did not."""
        self._authentications.inc(("success" if is_known else "failure",))

    def count_objects(self, counts: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """`counts` gives the number of stored objects by (group, plural); asked at each scrape."""
        self.registry.collected(
            "apiserver_resource_objects", "Stored objects at the last check, by group and resource.",
            ("group", "resource"), lambda: {(group, plural): n for (group, plural), n in counts().items()})
        self.registry.collected(
            "apiserver_storage_objects", "Stored objects at the last check, by resource.", ("resource",),
            lambda: {(f"{plural}.{group}" if group else plural,): n for (group, plural), n in counts().items()})


def _labels(what: Measured) -> tuple[str, ...]:
    verb = _VERBS.get(what.verb, what.verb.upper())
    # A made-up HTTP method must not become a series of its own.
    verb = verb if verb in _KNOWN else "other"
    return ("apiserver", "All" if what.dry_run else "", what.group, what.resource, what.scope, what.subresource, verb,
            what.version)
