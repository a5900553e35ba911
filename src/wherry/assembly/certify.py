"""Certificates by CertificateSigningRequest: how a machine without the cluster's authority gets and renews its own.

In:    a client (a bootstrap token at first, the node itself later), names and addresses.
Out:   certificate and key in one PEM file, replaced in one rename; `TimedOut` when nobody signs.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/
"""

import asyncio
import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wherry.kit import atomic_file
from wherry.kit.errors import Forbidden, TimedOut
from wherry.orchestration.apiserver.pki.certificates import private_pem
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import CERTIFICATE_SIGNING_REQUESTS
from wherry.orchestration.objects.meta import condition_of, name_of
from wherry.orchestration.objects.well_known import KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME, KUBELET_SERVING_SIGNER_NAME

WAIT_S = 60.0
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate of a node. `names` and `addresses` for one to serve with; none for one to ask the API with."""

    node: str
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def signer(self) -> str:
        return KUBELET_SERVING_SIGNER_NAME if self.names else KUBE_API_SERVER_CLIENT_KUBELET_SIGNER_NAME

    @property
    def usages(self) -> list[str]:
        return ["digital signature", "server auth" if self.names else "client auth"]

    @property
    def subject(self) -> x509.Name:
        return x509.Name([
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{self.node}"),
        ])

    @property
    def alternative_names(self) -> list[x509.GeneralName]:
        return [*(x509.DNSName(name) for name in self.names), *(x509.IPAddress(ip_address(one)) for one in self.addresses)]


async def certify(client: Client, wanted: Wanted, path: Path, *, wait_s: float = WAIT_S) -> None:
    """Ask, wait until it is signed, write `path`. Raise `TimedOut`, or `Forbidden` when it is denied."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(wanted.subject)
    if wanted.alternative_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(wanted.alternative_names), critical=False)
    request = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    spec = {"request": base64.b64encode(request).decode(), "signerName": wanted.signer, "usages": wanted.usages}
    made = await client.create(CERTIFICATE_SIGNING_REQUESTS, {"metadata": {"generateName": "csr-"}, "spec": spec})
    certificate = await _signed(client, name_of(made), wanted, wait_s)
    _write(path, certificate, key)


async def _signed(client: Client, name: str, wanted: Wanted, wait_s: float) -> bytes:
    try:
        async with asyncio.timeout(wait_s):
            while True:
                status = (await client.get(CERTIFICATE_SIGNING_REQUESTS, name)).get("status") or {}
                if text := status.get("certificate"):
                    return base64.b64decode(text)
                for kind in ("Denied", "Failed"):
                    if (found := condition_of(status.get("conditions") or [], kind)) is not None:
                        raise Forbidden(f"certificate request {name}: {kind.lower()}: {found.get('message', '')}")
                await asyncio.sleep(LOOK_S)
    except TimeoutError as error:
        raise TimedOut(
            f"certificate request {name} for {wanted.signer} was not signed within {wait_s:.0f} s; see: kubectl get csr {name}"
        ) from error


def self_signed(wanted: Wanted, path: Path, now: datetime) -> None:
    """What a node serves with until its first certificate is signed: nobody trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder().subject_name(wanted.subject).issuer_name(wanted.subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), key)


def renew_at(path: Path, wanted: Wanted, ca_pem: bytes) -> datetime | None:
    """When the certificate in `path` is to be renewed: after four fifths of its life; None: now, it is no good."""
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_pem))
        has = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value if wanted.names else ()
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound, InvalidSignature):
        return None
    if found.subject != wanted.subject or set(has) != set(wanted.alternative_names):
        return None
    return found.not_valid_after_utc - (found.not_valid_after_utc - found.not_valid_before_utc) / 5


def _write(path: Path, certificate: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic_file.write(path, certificate + private_pem(key), mode=0o600)
