"""Make and sign X.509 certificates: a certificate authority, and leaves it issues.

In:    names, addresses, usages, the moment.
Out:   `CertificateAuthority` and PEM bytes.
Spec:  RFC 5280; https://kubernetes.io/docs/setup/best-practices/certificates/
Cost:  about 0.3 ms a certificate (P-256; RSA 2048 would be 60 to 300 ms for its key alone).
Never: reads files or the clock.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from wherry.kit.errors import Broken, Invalid

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
CLOCK_SKEW = timedelta(minutes=5)  # notBefore lies this far back, so that peers with slow clocks accept at once

SHORT_LIFE = timedelta(hours=8)  # a certificate that holds less is not shortened by the skew
SIGNED_NAMES = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)

# certificates.k8s.io/v1 KeyUsage: the words of spec.usages
KEY_USAGES = {
    "signing": "digital_signature", "digital signature": "digital_signature", "content commitment": "content_commitment",
    "key encipherment": "key_encipherment", "key agreement": "key_agreement", "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign", "crl sign": "crl_sign", "encipher only": "encipher_only", "decipher only": "decipher_only",
}
EXTENDED_USAGES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "ipsec end system": ObjectIdentifier("1.3.6.1.5.5.7.3.5"),
    "ipsec tunnel": ObjectIdentifier("1.3.6.1.5.5.7.3.6"),
    "ipsec user": ObjectIdentifier("1.3.6.1.5.5.7.3.7"),
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "microsoft sgc": ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
    "netscape sgc": ObjectIdentifier("2.16.840.1.113730.4.1"),
}
_KEY_USAGE_FLAGS = frozenset(KEY_USAGES.values())

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A certificate authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The public certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS #8, unencrypted."""
        return private_pem(self.key)


@dataclass(frozen=True, slots=True)
class LeafRequest:
    """What a certificate is for. `organizations` become the user's groups when it is a client certificate."""

    common_name: str
    organizations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    usages: tuple[ObjectIdentifier, ...] = (CLIENT,)


def create_authority(common_name: str, now: datetime) -> CertificateAuthority:
    """A new self-signed authority with a P-256 key, valid for `CA_LIFE`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(subject_key, critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return CertificateAuthority(certificate, key)


def load_authority(certificate_pem: bytes, key_pem: bytes) -> CertificateAuthority:
    """Read an authority. Raise `Broken` when the two do not belong together or cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
    except ValueError as error:
        raise Broken(f"certificate authority cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Broken("certificate authority key is neither EC nor RSA")
    if key.public_key() != certificate.public_key():
        raise Broken("certificate authority: key and certificate do not belong together")
    return CertificateAuthority(certificate, key)


def issue(authority: CertificateAuthority, request: LeafRequest, now: datetime, life: timedelta = LEAF_LIFE) -> bytes:
    """One PEM text with the new certificate first and its new P-256 key after it."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(authority, request, key.public_key(), now, life)
    return certificate.public_bytes(serialization.Encoding.PEM) + private_pem(key)


def sign_request(
    authority: CertificateAuthority, request_pem: bytes, usages: Collection[str], now: datetime, life: timedelta
) -> bytes:
    """Sign a PKCS #10 request as it asks (subject and alternative names) for `usages`, in the words of spec.usages.

    Raise `Invalid` when it cannot be read, its signature does not match, or a usage is not known.
    Spec: Kubernetes pkg/controller/certificates/authority PermissiveSigningPolicy."""
    try:
        request = x509.load_pem_x509_csr(request_pem)
        names = [name for one in request.extensions if isinstance(one.value, x509.SubjectAlternativeName) for name in one.value]
    except ValueError as error:
        raise Invalid(f"certificate request cannot be read: {error}") from error
    if not request.is_signature_valid:
        raise Invalid("certificate request: its signature does not match its key")
    if unknown := sorted(set(usages) - set(KEY_USAGES) - set(EXTENDED_USAGES)):
        raise Invalid(f"unrecognized usages: {unknown}")
    held = life if life < SHORT_LIFE else life - CLOCK_SKEW
    builder = _plain_builder(authority, request.subject, request.public_key(), now, held)
    flags = {flag: any(KEY_USAGES.get(usage) == flag for usage in usages) for flag in _KEY_USAGE_FLAGS}
    if any(flags.values()):
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    if extended := [EXTENDED_USAGES[usage] for usage in sorted(usages) if usage in EXTENDED_USAGES]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    kept = [name for name in names if isinstance(name, SIGNED_NAMES)]
    if kept:
        builder = builder.add_extension(x509.SubjectAlternativeName(kept), critical=False)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def needs_renewal(leaf_pem: bytes, authority: CertificateAuthority, request: LeafRequest, now: datetime) -> bool:
    """True when the leaf is unreadable, of another authority or for other names, or in the last fifth of its life."""
    try:
        leaf = x509.load_pem_x509_certificate(leaf_pem)
        key = serialization.load_pem_private_key(leaf_pem, None)
        leaf.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, x509.InvalidVersion, InvalidSignature):
        return True
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    return (
        now > leaf.not_valid_after_utc - life / 5
        or key.public_key() != leaf.public_key()
        or leaf.subject != _subject(request)
        or _alternative_names(leaf) != set(_general_names(request))
    )


def private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """PKCS #8 PEM, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def split_leaf(leaf_pem: bytes) -> tuple[bytes, bytes]:
    """(certificate, key) of what `issue` returned."""
    mark = b"-----BEGIN PRIVATE KEY-----"
    certificate, _, key = leaf_pem.partition(mark)
    return certificate, mark + key


def _sign(
    authority: CertificateAuthority, request: LeafRequest, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.Certificate:
    builder = _builder(authority, _subject(request), key, now, life, request.usages)
    names = _general_names(request)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    authority: CertificateAuthority,
    subject: x509.Name,
    key: object,
    now: datetime,
    life: timedelta,
    usages: tuple[ObjectIdentifier, ...],
) -> x509.CertificateBuilder:
    builder = _plain_builder(authority, subject, key, now, life)
    builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
    return builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)


def _plain_builder(
    authority: CertificateAuthority, subject: x509.Name, key: object, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    not_after = min(now + life, authority.certificate.not_valid_after_utc)
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(authority_key, critical=False)
    )


def _subject(request: LeafRequest) -> x509.Name:
    try:
        organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in request.organizations]
        return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)])
    except ValueError as error:  # RFC 5280 allows 64 characters, so a node's name may have 52
        raise Invalid(f"certificate for {request.common_name!r}: {error}") from error


def _general_names(request: LeafRequest) -> list[x509.GeneralName]:
    try:
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in request.names]
        return names + [x509.IPAddress(ip_address(text)) for text in request.addresses]
    except ValueError as error:
        raise Invalid(f"certificate for {request.common_name!r}: {error}") from error


def _alternative_names(leaf: x509.Certificate) -> set[x509.GeneralName]:
    try:
        return set(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
