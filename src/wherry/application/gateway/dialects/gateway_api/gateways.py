"""Gateways: which of their listeners can serve, for whom, and what is wrong with the others.

In:    one Gateway, Secrets, ReferenceGrants, and which ports others hold.
Out:   `GatewayView`: what routes need to know to attach, and the conditions of every listener.
Spec:  Gateway API v1 GatewaySpec, Listener. Served: HTTP, HTTPS with `mode: Terminate`.
Refused by name: protocols TLS, TCP and UDP (UnsupportedProtocol), passthrough, addresses that
       are not this gateway's (UnsupportedAddress), ports the machine needs (PortUnavailable).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wherry.application.gateway.dialects.gateway_api.conditions import condition, generation_of
from wherry.application.gateway.model import certificates
from wherry.application.gateway.model.authorities import Refused, authorities_of
from wherry.application.gateway.model.ending import ENDED
from wherry.application.gateway.model.freshness import Lack
from wherry.application.gateway.model.grants import is_granted
from wherry.application.gateway.model.hostnames import is_hostname
from wherry.application.gateway.model.kinds import GATEWAY_GROUP
from wherry.application.gateway.model.snapshot import Reader
from wherry.application.gateway.model.values import ANY_HOST, ClientValidation, Protocol
from wherry.kit.errors import Invalid, WherryError
from wherry.orchestration.objects.kinds import SECRETS
from wherry.orchestration.objects.meta import Object, key_of, namespace_of
from wherry.orchestration.objects.selectors import LabelSelector, from_label_selector
from wherry.orchestration.objects.well_known import SECRET_TYPE_TLS

PORT_HOLDERS = "ports by number"  # a table: str(port) to (protocol, key of the oldest Gateway that asks for it)
HTTP_ROUTE = "HTTPRoute"
VALIDITY_TOLD_MAX = 1024  # characters
SUPPORTED = {"HTTP": Protocol.HTTP, "HTTPS": Protocol.HTTPS}


@dataclass(frozen=True, slots=True)
class ListenerView:
    """One listener as routes see it. `conditions` are complete but for Programmed."""

    name: str
    port: int
    protocol: Protocol
    hostname: str
    certificates: tuple[str, ...]
    client: ClientValidation | None
    kinds: tuple[str, ...]  # of routes that may attach
    namespaces: str  # Same, All or Selector
    selector: LabelSelector | None
    is_usable: bool
    conditions: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class GatewayView:
    """One Gateway of ours."""

    key: str
    namespace: str
    generation: int
    listeners: tuple[ListenerView, ...]
    problem: tuple[str, str] | None  # reason and message that keep the whole Gateway from being accepted
    resolved: tuple[str, str] | None = None  # a reference of the Gateway itself that is not followed

    def owner(self, listener: ListenerView) -> str:
        """How model and messages name the listener."""
        return f"Gateway/{self.key}/{listener.name}"


def view_of(gateway: Object, reader: Reader, *, addresses: tuple[str, ...], reserved: frozenset[int]) -> GatewayView:
    """Everything about one Gateway that does not depend on routes."""
    spec = gateway.get("spec") or {}
    generation = generation_of(gateway)
    conflicts = _conflicts(spec.get("listeners") or ())
    listeners = tuple(
        _Listener(gateway, listener, reader, generation).view(conflicts.get(listener.get("name", "")), reserved)
        for listener in spec.get("listeners") or ()
    )
    return GatewayView(key_of(gateway), namespace_of(gateway), generation, listeners, _problem(spec, addresses), _unresolved(spec))


def _unresolved(spec: Mapping[str, Any]) -> tuple[str, str] | None:
    if not ((spec.get("tls") or {}).get("backend") or {}).get("clientCertificateRef"):
        return None
    message = "tls.backend.clientCertificateRef is not supported: backends see no certificate of the gateway"
    return ("InvalidClientCertificateRef", message)


def port_holders(gateways: list[Object]) -> dict[str, tuple[str, str]]:
    """Who has a port first, by age of the Gateways, which are given oldest first. 80 and 443 belong to Ingress, too."""
    held = {"80": ("HTTP", ""), "443": ("HTTPS", "")}
    for gateway in gateways:
        for listener in (gateway.get("spec") or {}).get("listeners") or ():
            held.setdefault(str(listener.get("port")), (str(listener.get("protocol")), key_of(gateway)))
    return held


def without_rivals(views: Mapping[str, GatewayView]) -> dict[str, GatewayView]:
    """The views, given oldest first, with listeners refused whose host an older Gateway opens to clients of other authorities.

    One hostname of a port asks for one set of certificates: with both, each team's clients would enter the other's routes.
    """
    first: dict[tuple[int, str], tuple[str, ClientValidation]] = {}
    found: dict[str, GatewayView] = {}
    for key, view in views.items():
        refused: dict[str, str] = {}
        for listener in view.listeners if not view.problem else ():
            if listener.is_usable and listener.client is not None:
                holder, client = first.setdefault((listener.port, listener.hostname), (key, listener.client))
                if client.authorities != listener.client.authorities:
                    refused[listener.name] = holder
        found[key] = replace(view, listeners=tuple(
            _refused_for(listener, refused[listener.name], view.generation) if listener.name in refused else listener
            for listener in view.listeners
        )) if refused else view
    return found


def _refused_for(listener: ListenerView, holder: str, generation: int) -> ListenerView:
    text = f"Gateway {holder} opens this hostname and port to clients of other authorities"
    told = {
        kind: condition(kind, kind == "Conflicted", "HostnameConflict", text, generation=generation)
        for kind in ("Accepted", "Conflicted")
    }
    return replace(listener, is_usable=False, conditions=tuple(told.get(one["type"], one) for one in listener.conditions))


def _problem(spec: Mapping[str, Any], addresses: tuple[str, ...]) -> tuple[str, str] | None:
    for wanted in spec.get("addresses") or ():
        if wanted.get("type", "IPAddress") not in ("IPAddress", "Hostname"):
            return ("UnsupportedAddress", f"addresses of type {wanted.get('type')} are not supported")
        if wanted.get("value") and wanted["value"] not in addresses:
            return ("UnsupportedAddress", f"this gateway answers at {', '.join(addresses)} only")
    if (spec.get("infrastructure") or {}).get("parametersRef"):
        return ("InvalidParameters", "spec.infrastructure.parametersRef is not supported")
    return None


def _conflicts(listeners: Any) -> dict[str, tuple[str, str]]:
    """Listener name to (reason, message) of a conflict inside the Gateway; all that take part are named."""
    found: dict[str, tuple[str, str]] = {}
    for one in listeners:
        name = str(one.get("name", ""))
        for other in listeners:
            if one is other or one.get("port") != other.get("port"):
                continue
            rival = other.get("name", "")
            if one.get("protocol") != other.get("protocol"):
                found[name] = ("ProtocolConflict", f"listener {rival} has the same port with another protocol")
            elif (one.get("hostname") or "") == (other.get("hostname") or ""):
                found[name] = ("HostnameConflict", f"listener {rival} has the same port and hostname")
    return found


@dataclass(slots=True)
class _Listener:
    gateway: Object
    spec: Object
    reader: Reader
    generation: int

    def view(self, conflict: tuple[str, str] | None, reserved: frozenset[int]) -> ListenerView:
        selector, bad_selector = self._selector()
        refused = self._refused(reserved) or bad_selector
        kinds, kinds_problem = self._kinds()
        names, certificate_problem = self._certificates() if not refused else ((), None)
        client, client_problem = self._client() if not refused else (None, None)
        unresolved = kinds_problem or certificate_problem or client_problem
        if client_problem and client is None:
            refused = ("NoValidCACertificate", client_problem[1])
        conditions = (
            self._condition("Accepted", "Accepted", conflict or refused),
            self._condition("Conflicted", "NoConflicts", conflict, is_negative=True),
            self._condition("ResolvedRefs", "ResolvedRefs", unresolved, message=self._validity(names)),
        )
        return ListenerView(
            str(self.spec.get("name", "")),
            int(self.spec.get("port") or 0),
            SUPPORTED.get(str(self.spec.get("protocol")), Protocol.TCP),
            str(self.spec.get("hostname") or ANY_HOST),
            names,
            client,
            kinds,
            str(self._allowed().get("from", "Same")),
            selector,
            not refused and not conflict and not certificate_problem,
            conditions,
        )

    def _allowed(self) -> Mapping[str, Any]:
        return (self.spec.get("allowedRoutes") or {}).get("namespaces") or {}

    def _selector(self) -> tuple[LabelSelector | None, tuple[str, str] | None]:
        if self._allowed().get("from") != "Selector":
            return None, None
        try:
            return from_label_selector(self._allowed().get("selector")), None
        except Invalid as error:
            return None, ("Invalid", f"allowedRoutes.namespaces.selector: {error}")

    def _condition(
        self, kind: str, good: str, problem: tuple[str, str] | None, *, is_negative: bool = False, message: str = ""
    ) -> Object:
        is_true = (problem is None) is not is_negative
        reason, text = problem or (good, message)
        return condition(kind, is_true, reason, text, generation=self.generation)

    def _validity(self, names: tuple[str, ...]) -> str:
        """When the certificates end: an expired one is served, and this says why clients refuse it."""
        secrets = ((name, self.reader.get(SECRETS.qualified_name, name)) for name in names)
        ends = (f"{name} {'is' if self.reader.get(ENDED, name) is None else 'was'} valid until "
                f"{certificates.valid_until(certificates.secret_of(secret)).isoformat()}"
                for name, secret in secrets if secret is not None)
        return ", ".join(ends)[:VALIDITY_TOLD_MAX]

    def _refused(self, reserved: frozenset[int]) -> tuple[str, str] | None:
        protocol, port = str(self.spec.get("protocol")), int(self.spec.get("port") or 0)
        if protocol not in SUPPORTED:
            return ("UnsupportedProtocol", f"protocol {protocol} is not supported; {' and '.join(SUPPORTED)} are")
        hostname = str(self.spec.get("hostname") or "")
        if hostname and not is_hostname(hostname):
            return ("Invalid", f"hostname {hostname[:64]!r} is not a DNS name, with or without a leading *.")
        tls = self.spec.get("tls") or {}
        if protocol == "HTTPS" and tls.get("mode", "Terminate") != "Terminate":
            return ("UnsupportedProtocol", f"tls.mode {tls['mode']} is not supported with HTTPS")
        if port in reserved:
            return ("PortUnavailable", f"port {port} is needed by the machine itself")
        held_as, holder = self.reader.get(PORT_HOLDERS, str(port)) or (protocol, "")
        if held_as != protocol:
            return ("PortUnavailable", f"port {port} is held with protocol {held_as} by {holder or 'Ingress'}")
        return None

    def _kinds(self) -> tuple[tuple[str, ...], tuple[str, str] | None]:
        asked = (self.spec.get("allowedRoutes") or {}).get("kinds") or ()
        if not asked:
            return (HTTP_ROUTE,), None
        places = [(str(entry.get("group", GATEWAY_GROUP)), str(entry.get("kind"))) for entry in asked]
        known = (HTTP_ROUTE,) if (GATEWAY_GROUP, HTTP_ROUTE) in places else ()
        unknown = [kind for group, kind in places if (group, kind) != (GATEWAY_GROUP, HTTP_ROUTE)]
        problem = ("InvalidRouteKinds", f"kinds {', '.join(unknown)} are not supported") if unknown else None
        return known, problem

    def _certificates(self) -> tuple[tuple[str, ...], tuple[str, str] | None]:
        if self.spec.get("protocol") != "HTTPS":
            return (), None
        references = (self.spec.get("tls") or {}).get("certificateRefs") or ()
        if not references:
            return (), ("InvalidCertificateRef", "tls.certificateRefs is empty")
        names, problem = [], None
        for reference in references:
            name = f"{reference.get('namespace') or namespace_of(self.gateway)}/{reference.get('name')}"
            bad = self._certificate_problem(reference, name)
            problem = problem or bad
            if not bad:
                names.append(name)
        return tuple(names), None if names and not problem else problem

    def _client(self) -> tuple[ClientValidation | None, tuple[str, str] | None]:
        """What clients must prove. With a problem and no validation nobody may enter."""
        if self.spec.get("protocol") != "HTTPS":
            return None, None
        frontend = ((self.gateway.get("spec") or {}).get("tls") or {}).get("frontend") or {}
        ports = [entry.get("tls") for entry in frontend.get("perPort") or () if entry.get("port") == self.spec.get("port")]
        asked = (ports[0] if ports else frontend.get("default") or {}) or {}
        if "validation" not in asked or asked["validation"] is None:
            return None, None
        validation = asked["validation"]
        mode = validation.get("mode") or "AllowValidOnly"
        if mode not in ("AllowValidOnly", "AllowInsecureFallback"):
            return None, ("Invalid", f"tls.frontend validation mode {str(mode)[:64]!r} is not supported")
        found, problem = [], None
        for reference in validation.get("caCertificateRefs") or ():
            try:
                found.append(self._authorities(reference))
            except Refused as error:
                reason = {"InvalidKind": "InvalidCACertificateKind"}.get(error.reason, error.reason)
                problem = problem or (reason, str(error))
        if not found:
            return None, problem or ("InvalidCACertificateRef", "tls.frontend validation names no caCertificateRefs")
        return ClientValidation(b"".join(found), is_optional=mode == "AllowInsecureFallback"), problem

    def _authorities(self, reference: Mapping[str, Any]) -> bytes:
        own = namespace_of(self.gateway)
        target = str(reference.get("namespace") or own)
        if not is_granted(
            self.reader, group=GATEWAY_GROUP, kind="Gateway", namespace=own, to_group=str(reference.get("group") or ""),
            to_kind=str(reference.get("kind")), to_namespace=target, to_name=str(reference.get("name")),
        ):  # fmt: skip
            raise Refused("RefNotPermitted", f"no ReferenceGrant in namespace {target} lets Gateways of {own} use its authorities")
        return authorities_of(self.reader, reference, target)

    def _certificate_problem(self, reference: Mapping[str, Any], name: str) -> tuple[str, str] | None:
        if reference.get("group") or reference.get("kind", "Secret") != "Secret":
            return ("InvalidCertificateRef", f"certificates of kind {reference.get('kind')} are not supported")
        own, target = namespace_of(self.gateway), name.partition("/")[0]
        if not is_granted(
            self.reader, group=GATEWAY_GROUP, kind="Gateway", namespace=own,
            to_group="", to_kind="Secret", to_namespace=target, to_name=str(reference.get("name")),
        ):  # fmt: skip
            return ("RefNotPermitted", f"no ReferenceGrant in namespace {target} lets Gateways of {own} use secret {name}")
        secret = self.reader.get(SECRETS.qualified_name, name)
        if secret is None:
            self.reader.lacks(Lack(SECRETS, target, str(reference.get("name"))))
            return ("InvalidCertificateRef", f"secret {name} of type {SECRET_TYPE_TLS} not found")
        try:
            certificates.secret_of(secret)
        except WherryError as error:
            return ("InvalidCertificateRef", str(error))
        return None
