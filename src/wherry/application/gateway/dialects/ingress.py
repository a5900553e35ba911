"""Ingress, as networking.k8s.io/v1 defines it: classes, hosts, paths, default backends, TLS secrets.

In:    Ingress, IngressClass, Service, Secret.
Out:   listeners on port 80 and, for each TLS host, on port 443; status.loadBalancer of the Ingresses that are ours.
Order: `ordering.py`; ImplementationSpecific paths mean Prefix here.
Annotation: `wherry.dev/ssl-redirect: "true"` answers plain HTTP for TLS hosts with a redirect (308).
Refused: paths that are none (expressions meant for other controllers) are not served; `backend.resource` and what
       `services.backend_for` refuses answer 500; the Ingress stays in use.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from wherry.application.gateway.dialects.ingress_annotations import NGINX, PREFIXES, Meaning, meaning_of
from wherry.application.gateway.dialects.ingress_canaries import Place, Share, with_canaries
from wherry.application.gateway.model import certificates
from wherry.application.gateway.model.authorities import Refused
from wherry.application.gateway.model.contract import Notice, Part, Status, Watched
from wherry.application.gateway.model.ending import ENDED, told
from wherry.application.gateway.model.freshness import Lack
from wherry.application.gateway.model.hostnames import covers, specificity
from wherry.application.gateway.model.kinds import CLASS_NAME, CONTROLLER
from wherry.application.gateway.model.ordering import INGRESS_RANK, order_of
from wherry.application.gateway.model.paths import checked_path
from wherry.application.gateway.model.services import backend_for
from wherry.application.gateway.model.snapshot import Memo, Reader, Snapshot
from wherry.application.gateway.model.values import (
    ANY_HOST,
    Answer,
    Forward,
    Listener,
    PathKind,
    PathMatch,
    Protocol,
    Redirect,
    Route,
    RouteMatch,
    Target,
    ValueMatch,
    VirtualHost,
)
from wherry.kit.errors import Invalid, NotFound, Unsupported, WherryError
from wherry.orchestration.objects.kinds import INGRESS_CLASSES, INGRESSES, SECRETS, SERVICES
from wherry.orchestration.objects.meta import Object, annotations_of, key_of, name_of, namespace_of
from wherry.orchestration.objects.well_known import ANNOTATION_INGRESS_CLASS, ANNOTATION_IS_DEFAULT_INGRESS_CLASS, SECRET_TYPE_TLS

HTTP_PORT = 80
HTTPS_PORT = 443
SSL_REDIRECT_ANNOTATION = "wherry.dev/ssl-redirect"
BODY_MAX = 1024
HOSTS_TOLD_MAX = 256  # characters
WARNING_BODY = "the backend of this route cannot be used\n"

Hosts = dict[str, tuple[Route, ...]]


class IngressDialect:
    """See the module docstring. `addresses` are where clients reach the gateway."""

    name = "ingress"
    watched = (
        Watched(INGRESSES), Watched(INGRESS_CLASSES), Watched(SERVICES), Watched(SECRETS, certificates.TLS_SECRETS),
    )  # fmt: skip

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._status = {"loadBalancer": {"ingress": [address_entry(address) for address in addresses]}}
        self._memo: Memo[tuple[Listener, ...]] = Memo()
        self._tls_problems: Memo[tuple[str, ...]] = Memo()
        self._tls_secrets: Memo[tuple[str, ...]] = Memo()

    def compile(self, snapshot: Snapshot, rejected: dict[str, str]) -> Part:
        """Listeners, statuses and notices of every Ingress of our classes."""
        ours = [obj for obj in snapshot.all(INGRESSES) if is_ours(obj, snapshot)]
        ours.sort(key=lambda obj: (obj["metadata"].get("creationTimestamp") or "", key_of(obj)))
        self._memo.keep_only(map(key_of, ours))
        listeners = [
            listener for obj in ours for listener in self._memo.of(key_of(obj), obj, snapshot, listeners_of)
        ]
        if shares := _shares(ours, snapshot):
            listeners = with_canaries(listeners, shares)
        statuses = tuple(Status(INGRESSES, namespace_of(obj), name_of(obj), self._status) for obj in ours)
        self._tls_problems.keep_only(map(key_of, ours))
        notices = [Notice(obj, "InvalidCertificateRef", text)
                   for obj in ours for text in self._tls_problems.of(key_of(obj), obj, snapshot, tls_problems_of)]
        notices += self._expired(ours, snapshot)
        notices += [Notice(obj, "Invalid", f"Envoy refused it: {rejected[owner]}")
                    for obj in ours if (owner := f"Ingress/{key_of(obj)}") in rejected]
        return Part(tuple(listeners), statuses, (*_notices(ours, snapshot), *notices))

    def _expired(self, ours: list[Object], snapshot: Snapshot) -> Iterable[Notice]:
        self._tls_secrets.keep_only(map(key_of, ours))
        for obj in ours:
            for secret in self._tls_secrets.of(key_of(obj), obj, snapshot, tls_secrets_of):
                if (end := snapshot.get(ENDED, secret)) is not None:
                    yield Notice(obj, "CertificateExpired", told(secret, end))


def is_ours(obj: Object, snapshot: Snapshot) -> bool:
    """True when the Ingress names a class of ours, or none while our class is the default."""
    named = (obj.get("spec") or {}).get("ingressClassName")
    if named:
        found = snapshot.of(INGRESS_CLASSES, named)
        return found is not None and (found.get("spec") or {}).get("controller") == CONTROLLER
    if ANNOTATION_INGRESS_CLASS in annotations_of(obj):
        return annotations_of(obj)[ANNOTATION_INGRESS_CLASS] == CLASS_NAME
    return any(
        annotations_of(item).get(ANNOTATION_IS_DEFAULT_INGRESS_CLASS) == "true"
        and (item.get("spec") or {}).get("controller") == CONTROLLER
        for item in snapshot.all(INGRESS_CLASSES)
    )


def listeners_of(obj: Object, reader: Reader) -> tuple[Listener, ...]:
    """One listener per host, and one more per TLS host."""
    meaning = meaning_of(obj)
    if meaning.canary is not None:
        return ()  # a canary has its share of another Ingress, and nothing by itself
    hosts = _restricted(_hosts(obj, reader), meaning)
    owners = (f"Ingress/{key_of(obj)}",)
    secure = _tls_hosts(obj, reader)
    is_redirected = annotations_of(obj).get(SSL_REDIRECT_ANNOTATION) == "true"
    is_redirected = is_redirected or annotations_of(obj).get(NGINX + "ssl-redirect") == "true"
    found = []
    for host, routes in hosts.items():
        plain = routes
        if meaning.forces_tls or is_redirected and any(covers(name, host) for name in secure):
            plain = (_to_https(obj, host),)
        found.append(Listener(HTTP_PORT, Protocol.HTTP, host, hosts=(VirtualHost(host, plain),), owners=owners))
    for name, secret in secure.items():
        served = {host: routes for host, routes in hosts.items() if covers(name, host)}
        if not served:  # a name under TLS that rules only cover by a wildcard, or not at all
            broader = [host for host in hosts if covers(host, name)]
            served = {name: hosts[max(broader, key=specificity)]} if broader else {}
        found.append(
            Listener(
                HTTPS_PORT, Protocol.HTTPS, name, (secret,), owners=owners,
                hosts=tuple(VirtualHost(host, routes) for host, routes in served.items()),
            )  # fmt: skip
        )
    return tuple(found)


def _restricted(hosts: Hosts, meaning: Meaning) -> Hosts:
    """The routes with what the annotations take away from them."""
    if meaning.refused:
        body = f"this Ingress asks for what the gateway does not enforce: {', '.join(meaning.refused)}\n"
        answer = Answer(503, body[:BODY_MAX])
        return {host: tuple(replace(route, action=answer) for route in routes) for host, routes in hosts.items()}
    if not (meaning.allowed or meaning.denied):
        return hosts
    return {
        host: tuple(replace(route, allowed=meaning.allowed, denied=meaning.denied) for route in routes)
        for host, routes in hosts.items()
    }


def _shares(ours: list[Object], snapshot: Snapshot) -> dict[Place, Share]:
    """The canaries of all, the oldest first where two ask for one place."""
    found: dict[Place, Share] = {}
    for obj in ours:
        if NGINX + "canary" not in annotations_of(obj):
            continue
        meaning = meaning_of(obj)
        if meaning.canary is None or meaning.refused:
            continue
        for host, routes in _hosts(obj, snapshot).items():
            for route in routes:
                if isinstance(route.action, Forward):
                    found.setdefault((namespace_of(obj), host, route.match.path), Share(meaning.canary, route.action))
    return found


def _notices(ours: list[Object], snapshot: Snapshot) -> Iterable[Notice]:
    for obj in ours:
        if not any(name.startswith(PREFIXES) for name in annotations_of(obj)):
            continue
        meaning = meaning_of(obj)
        if meaning.refused:
            effect = "this canary gets no requests" if meaning.canary else "its requests get 503"
            yield Notice(obj, "NotEnforced", f"{effect}: the gateway does not enforce {', '.join(meaning.refused)}")
        if meaning.ignored:
            yield Notice(obj, "NotEnforced", f"without effect at this gateway: {', '.join(meaning.ignored)}")
    for obj in snapshot.all(INGRESSES):
        named = (obj.get("spec") or {}).get("ingressClassName") or annotations_of(obj).get(ANNOTATION_INGRESS_CLASS)
        if named and named != CLASS_NAME and snapshot.of(INGRESS_CLASSES, named) is None:
            yield Notice(obj, "IngressClassNotFound", f"no IngressClass {named[:64]!r} exists, so nothing serves this Ingress")


def address_entry(address: str) -> dict[str, str]:
    """An entry of status.loadBalancer.ingress: ip for addresses, hostname for names."""
    is_ip = ":" in address or address.replace(".", "").isdigit()
    return {"ip" if is_ip else "hostname": address}


def _hosts(obj: Object, reader: Reader) -> Hosts:
    spec = obj.get("spec") or {}
    hosts: Hosts = {}
    for index, rule in enumerate(spec.get("rules") or ()):
        host = rule.get("host") or ANY_HOST
        hosts[host] = hosts.get(host, ()) + tuple(_rule_routes(obj, host, index, rule, reader))
    if default := spec.get("defaultBackend"):
        for host in [*hosts, *({ANY_HOST} - set(hosts))]:
            match = RouteMatch(PathMatch(), headers=_host_limit(host))
            order = order_of(match, obj, rank=INGRESS_RANK, rule=len(hosts), is_default=True)
            action = _action(default, namespace_of(obj), reader)
            hosts[host] = (*hosts.get(host, ()), Route(f"Ingress/{key_of(obj)}/default", order, match, action))
    return hosts


def _rule_routes(obj: Object, host: str, index: int, rule: dict[str, Any], reader: Reader) -> Iterable[Route]:
    for place, path in enumerate((rule.get("http") or {}).get("paths") or ()):
        try:
            match = RouteMatch(_path_match(path), headers=_host_limit(host))
        except Invalid:  # such as an expression meant for another controller
            continue
        order = order_of(match, obj, rank=INGRESS_RANK, rule=index, index=place)
        name = f"Ingress/{key_of(obj)}/{index}/{place}"
        yield Route(name, order, match, _action(path.get("backend") or {}, namespace_of(obj), reader))


def _path_match(path: dict[str, Any]) -> PathMatch:
    value = checked_path(path.get("path") or "/")
    if path.get("pathType") == "Exact":
        return PathMatch(PathKind.EXACT, value)
    return PathMatch(PathKind.PREFIX, value.rstrip("/") or "/")


def _host_limit(host: str) -> tuple[ValueMatch, ...]:
    """In an Ingress, unlike in Gateway API, a wildcard stands for one label only."""
    if not host.startswith("*."):
        return ()
    return (ValueMatch(":authority", r"[^.]+" + host[1:].replace(".", r"\.") + r"(:[0-9]+)?", is_regex=True),)


def _action(backend: dict[str, Any], namespace: str, reader: Reader) -> Forward | Answer:
    service = backend.get("service")
    if not service:
        return Answer(500, WARNING_BODY)
    port = service.get("port") or {}
    try:
        found = backend_for(reader, namespace, str(service.get("name")), port.get("name") or int(port.get("number") or 0))
    except NotFound:
        return Answer(503, WARNING_BODY)
    except Unsupported:
        return Answer(500, WARNING_BODY)
    except Refused as error:
        return Answer(503, f"{error}\n"[:BODY_MAX])
    return Forward((Target(found),))


def _to_https(obj: Object, host: str) -> Route:
    match = RouteMatch(headers=_host_limit(host))
    order = order_of(match, obj, rank=INGRESS_RANK, rule=0)
    return Route(f"Ingress/{key_of(obj)}/ssl-redirect", order, match, Redirect(308, scheme="https"))


def _tls_hosts(obj: Object, reader: Reader) -> dict[str, str]:
    """TLS host to secret; entries whose secret is absent or broken are left out."""
    found: dict[str, str] = {}
    for entry in (obj.get("spec") or {}).get("tls") or ():
        if not _secret_problem(obj, entry, reader):
            for host in entry.get("hosts") or (ANY_HOST,):
                found.setdefault(host, f"{namespace_of(obj)}/{entry.get('secretName')}")
    return found


def tls_problems_of(obj: Object, reader: Reader) -> tuple[str, ...]:
    """Why hosts of the Ingress are not opened for TLS."""
    found = []
    for entry in (obj.get("spec") or {}).get("tls") or ():
        if problem := _secret_problem(obj, entry, reader):
            hosts = ", ".join(entry.get("hosts") or (ANY_HOST,))
            found.append(f"not served by TLS: {hosts[:HOSTS_TOLD_MAX]}: {problem}")
    return tuple(found)


def tls_secrets_of(obj: Object, reader: Reader) -> tuple[str, ...]:
    """Each secret that is served."""
    return tuple(dict.fromkeys(_tls_hosts(obj, reader).values()))


def _secret_problem(obj: Object, entry: dict[str, Any], reader: Reader) -> str:
    if not entry.get("secretName"):
        return "the entry of spec.tls names no secret"
    name = f"{namespace_of(obj)}/{entry['secretName']}"
    secret = reader.get(SECRETS.qualified_name, name)
    if secret is None:
        reader.lacks(Lack(SECRETS, namespace_of(obj), str(entry["secretName"])))
        return f"secret {name} of type {SECRET_TYPE_TLS} not found"
    try:
        certificates.secret_of(secret)
    except WherryError as error:
        return str(error)
    return ""
