"""What is to be done with a CertificateSigningRequest: pure.

In:    what it asks, the node it is for, the moment.
Out:   who must be asked before it approves itself; why a signer refuses it; how long a certificate holds; whether it is stale.
Spec:  Kubernetes pkg/controller/certificates approver/sarapprove.go, signer/signer.go, cleaner/cleaner.go.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509

from wherry.kit.clock import parse_rfc3339
from wherry.kit.reserved import Reserved
from wherry.orchestration.controllers.certificates.asked import (
    CLIENT_AUTH,
    DIGITAL_SIGNATURE,
    KEY_ENCIPHERMENT,
    LEGACY,
    NODE_PREFIX,
    Asked,
    has_condition,
    kubelet_client_fault,
    kubelet_serving_fault,
)
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.well_known import (
    KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME,
    KUBE_API_SERVER_CLIENT_SIGNER_NAME,
    KUBELET_SERVING_SIGNER_NAME,
)

LIFE_DEFAULT = timedelta(days=365)  # --cluster-signing-duration
LIFE_MIN = timedelta(minutes=10)
DECIDED_KEPT, PENDING_KEPT = timedelta(hours=1), timedelta(hours=24)
SERVING_APPROVED = "Auto approving kubelet serving certificate: it is for the name and addresses of its node."


@dataclass(frozen=True, slots=True)
class Recognized:
    """A request that approves itself when its user may create this subresource of certificatesigningrequests."""

    subresource: str
    message: str


def recognized(asked: Asked) -> Iterator[Recognized]:
    """A kubelet's client certificate, its own before any."""
    if asked.signer != KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME or kubelet_client_fault(asked):
        return
    if asked.username == asked.common_name:
        yield Recognized("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")
    yield Recognized("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def is_own_serving(
    asked: Asked, node: Object | None, others: Iterable[Object], reserved: Reserved, own_names: Collection[str]
) -> bool:
    """A node asks for a serving certificate for itself: for its own name, and for addresses that are its own.

    Upstream leaves these to the operator. What a Node shows in its status, the node wrote: so no name is taken from there, and no
    address that another Node shows, that is reserved (the API server's), or that lies in the cluster's ranges. `own_names`:
    what every node answers to, to itself only."""
    if asked.signer != KUBELET_SERVING_SIGNER_NAME or kubelet_serving_fault(asked) or node is None or is_api_name(name_of(node)):
        return False
    if asked.username != asked.common_name or asked.common_name != NODE_PREFIX + name_of(node):
        return False
    shown, taken = addresses_of(node), {address for other in others for address in addresses_of(other)}
    foreign = [one for one in asked.addresses if not ip_address(one).is_loopback and (
        one not in shown or one in taken or reserved.foreign_owner(one))]
    return not foreign and set(asked.names) <= {name_of(node), *own_names}


def is_api_name(name: str) -> bool:
    """A name by which clients know the API server."""
    return name.partition(".")[0] == "kubernetes"


def addresses_of(node: Object) -> set[str]:
    """The IP addresses it shows."""
    rows = (node.get("status") or {}).get("addresses") or ()
    return {row["address"] for row in rows if row.get("type") in ("InternalIP", "ExternalIP")}


def signer_fault(asked: Asked) -> str:
    """Why the signer that is named refuses; "" when it signs. For the signers of `SIGNERS`."""
    return SIGNERS[asked.signer](asked)


def _api_client_fault(asked: Asked) -> str:
    for usage in sorted(asked.usages - {DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, CLIENT_AUTH}):
        return f"invalid usage for client certificate: {usage}"
    return "" if CLIENT_AUTH in asked.usages else f"missing required usage for client certificate: {CLIENT_AUTH}"


# Whose certificates the cluster's CA signs, and what each refuses.
SIGNERS: Mapping[str, Callable[[Asked], str]] = {
    KUBE_API_SERVER_CLIENT_SIGNER_NAME: _api_client_fault,
    KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME: kubelet_client_fault,
    KUBELET_SERVING_SIGNER_NAME: kubelet_serving_fault,
    LEGACY: lambda asked: "",
}


def is_to_sign(csr: Object) -> bool:
    """Approved, not failed, by one of our signers, and without its certificate yet."""
    waits = has_condition(csr, "Approved") and not has_condition(csr, "Failed") and not has_condition(csr, "Denied")
    return waits and csr["spec"].get("signerName") in SIGNERS and not (csr.get("status") or {}).get("certificate")


def is_to_approve(csr: Object) -> bool:
    """Nobody has decided yet."""
    status = csr.get("status") or {}
    return not status.get("certificate") and not has_condition(csr, "Approved") and not has_condition(csr, "Denied")


def life(csr: Object) -> timedelta:
    """spec.expirationSeconds between ten minutes and a year; a year when it says nothing."""
    asked_s = csr["spec"].get("expirationSeconds")
    return LIFE_DEFAULT if asked_s is None else min(max(timedelta(seconds=asked_s), LIFE_MIN), LIFE_DEFAULT)


def is_stale(csr: Object, certificate: x509.Certificate | None, now: datetime) -> bool:
    """Nobody needs it any longer: decided an hour ago, undecided for a day, or its certificate has expired."""
    if certificate is not None and now > certificate.not_valid_after_utc:
        return True
    conditions = (csr.get("status") or {}).get("conditions") or ()
    decided = [one for one in conditions if one.get("type") in ("Approved", "Denied", "Failed")]
    if not decided:
        return now - parse_rfc3339(csr["metadata"]["creationTimestamp"]) > PENDING_KEPT
    waits = certificate is None and not has_condition(csr, "Denied") and not has_condition(csr, "Failed")
    if waits:
        return False  # approved, and its signer has not come to it yet
    times = [one["lastUpdateTime"] for one in decided if one.get("lastUpdateTime")]
    return any(now - parse_rfc3339(time) > DECIDED_KEPT for time in times)
