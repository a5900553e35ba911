"""TLS Secrets as certificates, checked before Envoy sees them: one bad pair must not spoil a listener.

In:    a Secret of type kubernetes.io/tls.
Out:   `model.Secret`, or `Invalid` that says what is wrong and never what is inside.
"""

import base64
import binascii
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from wherry.application.gateway.model.values import Secret
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.meta import Object, key_of
from wherry.orchestration.objects.well_known import SECRET_TYPE_TLS

RSA_BITS_MIN = 2048
CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
TLS_SECRETS = f"type={SECRET_TYPE_TLS}"  # field selector


def secret_of(obj: Object) -> Secret:
    """Certificate and key of a TLS Secret. Raise `Invalid` when they cannot be read or do not belong together."""
    name = key_of(obj)
    certificate, key = (_decoded(obj, entry) for entry in ("tls.crt", "tls.key"))
    try:
        chain = x509.load_pem_x509_certificates(certificate)
        private = load_pem_private_key(key, password=None)
        own = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        certified = chain[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(f"secret {name}: tls.crt and tls.key are not a PEM certificate and its unencrypted key") from error
    if problem := _problem(private):
        raise Invalid(f"secret {name}: {problem}")
    if own != certified:
        raise Invalid(f"secret {name}: tls.key does not belong to the first certificate of tls.crt")
    return Secret(name, certificate, key)


def valid_until(secret: Secret) -> datetime:
    """When the first certificate of a checked secret ends. Envoy presents it afterwards, too; clients refuse it."""
    return x509.load_pem_x509_certificates(secret.certificate)[0].not_valid_after_utc


def _problem(key: PrivateKeyTypes) -> str:
    """Why Envoy would refuse the key, "" when it would not."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "" if key.key_size >= RSA_BITS_MIN else f"an RSA key of {key.key_size} bits is too short, {RSA_BITS_MIN} are needed"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "" if key.curve.name in CURVES else f"keys on curve {key.curve.name} are not supported"
    return "the key is neither RSA nor ECDSA"


def _decoded(obj: Object, entry: str) -> bytes:
    try:
        return base64.b64decode((obj.get("data") or {})[entry], validate=True)
    except (KeyError, binascii.Error, TypeError) as error:
        raise Invalid(f"secret {key_of(obj)}: {entry} is absent or not base64") from error
