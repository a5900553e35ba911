"""What every routing dialect means, in one form: listeners, hosts, ordered routes, backends.

In:    made by the dialects (`dialects/`), which read Kubernetes objects.
Out:   read by `xds/`, which knows Envoy and no Kubernetes kind.
Promise: all values are frozen and hashable; equal configuration is equal value, so unchanged parts need no new work.
         A route's place is its `order`, computed by its dialect, never its position in a list.
Spec:  Gateway API v1 (hostnames, precedence), Kubernetes Ingress; docs of a dialect say how its own order maps here.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b

ANY_HOST = "*"


class Protocol(StrEnum):
    """What a listener speaks to clients."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TLS = "TLS"  # passed through by server name, never opened
    TCP = "TCP"


class PathKind(StrEnum):
    """How a path is compared. All compare the normalised path without its query."""

    EXACT = "exact"
    PREFIX = "prefix"  # whole path elements: /a matches /a and /a/b, not /ab
    REGEX = "regex"  # RE2, the whole path


@dataclass(frozen=True, slots=True)
class PathMatch:
    """`value` begins with "/"; a prefix has no trailing "/" unless it is "/" itself."""

    kind: PathKind = PathKind.PREFIX
    value: str = "/"


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """A header or query parameter that must be there with this value."""

    name: str
    value: str
    is_regex: bool = False  # RE2, the whole value


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """All parts must hold."""

    path: PathMatch = PathMatch()
    method: str = ""
    headers: tuple[ValueMatch, ...] = ()
    queries: tuple[ValueMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """Applied in the order set, add, remove. Names are as the user wrote them."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


NO_CHANGE = HeaderChange()


class BackendProtocol(StrEnum):
    """What is spoken to the endpoints."""

    HTTP1 = "http1"
    H2C = "h2c"
    TCP = "tcp"


@dataclass(frozen=True, order=True, slots=True)
class BackendTls:
    """TLS to the endpoints. `authorities` is PEM, empty for the system's own; `names` are (Hostname or URI, value)."""

    hostname: str = ""  # sent as server name, and what the certificate is for unless `names` says otherwise
    authorities: bytes = b""
    names: tuple[tuple[str, str], ...] = ()


PLAIN = BackendTls()


@dataclass(frozen=True, order=True, slots=True)
class Backend:
    """One port of one Service. Its name is its identity: it never depends on which route uses it, or where."""

    namespace: str
    service: str
    port: int
    protocol: BackendProtocol = BackendProtocol.HTTP1
    tls: BackendTls = PLAIN

    @property
    def name(self) -> str:
        """`default/web/80`; other protocols than HTTP/1.1 are appended, because they are other connections."""
        name = f"{self.namespace}/{self.service}/{self.port}"
        if self.protocol is not BackendProtocol.HTTP1:
            name = f"{name}/{self.protocol}"
        if self.tls != PLAIN:
            content = repr((self.tls.hostname, self.tls.authorities, self.tls.names)).encode()
            name = f"{name}/tls-{blake2b(content, digest_size=8).hexdigest()}"
        return name


@dataclass(frozen=True, slots=True)
class Target:
    """A share of the traffic. `backend` None means a reference that cannot be followed: its share gets 500."""

    backend: Backend | None
    weight: int = 1
    request_headers: HeaderChange = NO_CHANGE
    response_headers: HeaderChange = NO_CHANGE


@dataclass(frozen=True, slots=True)
class Rewrite:
    """At most one of `path` and `prefix` is given; None leaves the path alone."""

    host: str = ""
    path: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """Copies of requests, whose answers are dropped. `parts_per_million` of 1,000,000 is all of them."""

    backend: Backend
    parts_per_million: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Forward:
    """Send on to the targets by weight. Times are seconds, 0 for no limit."""

    targets: tuple[Target, ...]
    rewrite: Rewrite = Rewrite()
    timeout_s: float = 0.0
    try_timeout_s: float = 0.0
    mirrors: tuple[Mirror, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a redirect; "" and None keep what the request had. `port` 0 leaves the port out."""

    code: int = 302
    scheme: str = ""
    host: str = ""
    port: int | None = None
    path: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer at once."""

    code: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A step of the plugin slot, in order: an Envoy filter by name with its configuration, serialised."""

    name: str
    type_url: str
    config: bytes


Order = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """The first route of a host, by ascending `order`, whose match holds takes the request. `name` is for people."""

    name: str
    order: Order
    match: RouteMatch
    action: Forward | Redirect | Answer
    request_headers: HeaderChange = NO_CHANGE
    response_headers: HeaderChange = NO_CHANGE
    plugins: tuple[Plugin, ...] = ()
    allowed: tuple[str, ...] = ()  # networks of clients; () is everybody, others get 403
    denied: tuple[str, ...] = ()  # networks of clients that get 403, before `allowed`


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """`host` is a name, `*.suffix` (one label or more before it) or `*`."""

    host: str
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class ClientValidation:
    """Clients need a certificate of one of these authorities (PEM). `is_optional`: without, or with another, they enter too."""

    authorities: bytes
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A door for clients. Listeners of one port that differ by hostname share it; equal ones are merged.

    A request belongs to the listener with the most specific hostname, and no other listener answers it.
    """

    port: int
    protocol: Protocol
    hostname: str = ANY_HOST
    certificates: tuple[str, ...] = ()  # names of secrets, `namespace/name`; HTTPS only
    hosts: tuple[VirtualHost, ...] = ()
    targets: tuple[Target, ...] = ()  # TLS and TCP only
    client: ClientValidation | None = None  # HTTPS only
    owners: tuple[str, ...] = ()  # who asked for it, for messages and status: `Gateway/default/web/http`


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a backend answers. A draining one finishes what it has."""

    address: str
    port: int
    is_draining: bool = False


@dataclass(frozen=True, slots=True)
class Secret:
    """A certificate chain and its key, PEM."""

    name: str
    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GatewayModel:
    """The whole configuration. Listeners are in no particular order; `endpoints` are sorted."""

    listeners: tuple[Listener, ...] = ()
    endpoints: tuple[tuple[Backend, tuple[Endpoint, ...]], ...] = ()
    secrets: tuple[Secret, ...] = ()


def backends_of(listeners: tuple[Listener, ...]) -> tuple[Backend, ...]:
    """Every backend that some listener can reach, sorted."""
    found: set[Backend] = set()
    for listener in listeners:
        found.update(target.backend for target in listener.targets if target.backend)
        for host in listener.hosts:
            for route in host.routes:
                if isinstance(route.action, Forward):
                    found.update(target.backend for target in route.action.targets if target.backend)
                    found.update(mirror.backend for mirror in route.action.mirrors)
    return tuple(sorted(found))
