"""BackendTLSPolicies: which Services must be reached by TLS, and whom the gateway then believes.

In:    BackendTLSPolicies, ConfigMaps and Secrets.
Out:   a table `namespace/service` to `Secured`, one per port name; and what each policy's status says.
Spec:  Gateway API v1 BackendTLSPolicy: a policy for a port goes before one for the Service; of equal ones the oldest counts.
Promise: a Service with a policy that cannot be followed is not reached at all: never in plain text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.application.gateway.model.authorities import Refused, authorities_of
from wherry.application.gateway.model.hostnames import is_hostname
from wherry.application.gateway.model.snapshot import Reader
from wherry.application.gateway.model.values import BackendTls
from wherry.orchestration.objects.meta import Object, key_of, namespace_of

BACKEND_TLS = "backend tls by service"
POLICY_VIEWS = "backend tls policies"  # a table: "" to all views
SAN_LENGTH_MAX = 253
Problem = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Secured:
    """One policy's word on one Service. `port` "" is every port; `tls` None: it cannot be followed, for `problem`."""

    port: str
    tls: BackendTls | None
    problem: str


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One policy. `accepted` and `resolved` are None when all is well."""

    policy: Object
    services: frozenset[str]
    accepted: Problem | None
    resolved: Problem | None


def policies_of(policies: Iterable[Object], reader: Reader) -> tuple[dict[str, tuple[Secured, ...]], tuple[PolicyView, ...]]:
    """The table, and every policy's view."""
    table: dict[str, tuple[Secured, ...]] = {}
    views = []
    for policy in sorted(policies, key=lambda obj: (str(obj["metadata"].get("creationTimestamp") or ""), key_of(obj))):
        tls, accepted, resolved = _understood(policy, reader)
        services = set()
        for target in (policy.get("spec") or {}).get("targetRefs") or ():
            if target.get("group") or target.get("kind") != "Service":
                accepted = accepted or ("Invalid", f"targets of kind {target.get('kind')} are not supported; Services are")
                continue
            service, port = f"{namespace_of(policy)}/{target.get('name')}", str(target.get("sectionName") or "")
            services.add(service)
            if any(other.port == port for other in table.get(service, ())):
                accepted = accepted or ("Conflicted", f"an older policy is for service {service} already")
                continue
            table[service] = (*table.get(service, ()), Secured(port, tls, (accepted or ("", ""))[1]))
        views.append(PolicyView(policy, frozenset(services), accepted, resolved))
    return table, tuple(views)


def tls_for(reader: Reader, service: str, port_name: str) -> BackendTls | None:
    """How a port of `namespace/service` is to be reached, None for plain text. Raise `Refused` when it must not be at all."""
    entries: tuple[Secured, ...] = reader.get(BACKEND_TLS, service) or ()
    found = {entry.port: entry for entry in entries}
    entry = (found.get(port_name) if port_name else None) or found.get("")
    if entry is None:
        return None
    if entry.tls is None:
        raise Refused("InvalidBackendTLSPolicy", f"the BackendTLSPolicy of service {service} cannot be followed: {entry.problem}")
    return entry.tls


def _understood(policy: Object, reader: Reader) -> tuple[BackendTls | None, Problem | None, Problem | None]:
    """(what to do, what keeps it from being accepted, a reference that could not be followed)."""
    given: Mapping[str, Any] = (policy.get("spec") or {}).get("validation") or {}
    hostname = str(given.get("hostname") or "")
    if not is_hostname(hostname) or hostname.startswith("*."):
        return None, ("Invalid", f"validation.hostname {hostname[:64]!r} is not a DNS name"), None
    names = []
    for entry in given.get("subjectAltNames") or ():
        kind, value = str(entry.get("type")), str(entry.get("hostname") or entry.get("uri") or "")
        if kind not in ("Hostname", "URI") or not value or len(value) > SAN_LENGTH_MAX or not value.isprintable():
            return None, ("Invalid", f"subjectAltNames of type {kind[:16]} with that value are not supported"), None
        names.append((kind, value))
    well_known = given.get("wellKnownCACertificates")
    references = given.get("caCertificateRefs") or ()
    if well_known and not references:
        if well_known == "System":
            return BackendTls(hostname, b"", tuple(names)), None, None
        return None, ("Invalid", f"wellKnownCACertificates {str(well_known)[:64]!r} is not supported; System is"), None
    found, resolved = [], None
    for reference in references:
        try:
            found.append(authorities_of(reader, reference, namespace_of(policy)))
        except Refused as error:
            resolved = resolved or (error.reason, str(error))
    if not found:
        message = resolved[1] if resolved else "neither caCertificateRefs nor wellKnownCACertificates is given"
        return None, ("NoValidCACertificate", message), resolved
    return BackendTls(hostname, b"".join(found), tuple(names)), None, resolved
