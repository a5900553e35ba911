"""Sign and verify compact JSON Web Signatures, ES256 and RS256.

Spec:  RFC 7515, RFC 7517, RFC 7518 sections 3.3 and 3.4; `kid` is the unpadded base64url SHA-256 of the public key.
Never: accepts an algorithm other than its key's own (no `none`, no HMAC with a public key); reads the clock.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

P256_BYTES = 32
_PKCS1 = padding.PKCS1v15()
_SHA256 = hashes.SHA256()
_ECDSA = ec.ECDSA(_SHA256)


class Signer:
    """Signs claims with one private key."""

    def __init__(self, key: PrivateKey) -> None:
        self._key = key
        self.public_key: PublicKey = key.public_key()
        header = {"alg": algorithm_of(self.public_key), "kid": key_id(self.public_key)}
        self._header = encode(orjson.dumps(header))

    def sign(self, claims: dict[str, Any]) -> str:
        """The token `header.claims.signature`."""
        signed = self._header + b"." + encode(orjson.dumps(claims))
        return (signed + b"." + encode(_signature(self._key, signed))).decode("ascii")


class Verifier:
    """Verifies tokens of any of `keys`."""

    def __init__(self, keys: Sequence[PublicKey]) -> None:
        self._keys = tuple((algorithm_of(key), key_id(key), key) for key in keys)

    def claims_of(self, token: str) -> dict[str, Any] | None:
        """The claims when the signature is by one of the keys, else None. Looks at nothing but the signature."""
        parts = token.encode("utf-8", "replace").split(b".")
        if len(parts) != 3:
            return None
        try:
            header, claims = orjson.loads(decode(parts[0])), orjson.loads(decode(parts[1]))
            signature = decode(parts[2])
        except (ValueError, binascii.Error):
            return None
        if not isinstance(header, dict) or not isinstance(claims, dict):
            return None
        signed = parts[0] + b"." + parts[1]
        wanted = header.get("kid")
        for algorithm, kid, key in self._keys:
            if header.get("alg") == algorithm and wanted in (None, "", kid) and _is_valid(key, signed, signature):
                return claims
        return None


def key_set(keys: Sequence[PublicKey]) -> dict[str, Any]:
    """The JSON Web Key Set of `keys`: the body of /openid/v1/jwks."""
    return {"keys": [_web_key(key) for key in keys]}


def algorithm_of(key: PublicKey) -> str:
    """ES256 or RS256."""
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    if key.curve.name != "secp256r1":
        raise ValueError(f"key is on curve {key.curve.name}, only P-256 is supported")
    return "ES256"


def key_id(key: PublicKey) -> str:
    """What tokens carry as `kid`."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encode(hashlib.sha256(der).digest()).decode("ascii")


def encode(data: bytes) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decode(text: bytes) -> bytes:
    """Read base64url without padding; raise `ValueError` (binascii.Error) when it is not."""
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _signature(key: PrivateKey, signed: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, _PKCS1, _SHA256)
    r, s = decode_dss_signature(key.sign(signed, _ECDSA))
    return r.to_bytes(P256_BYTES, "big") + s.to_bytes(P256_BYTES, "big")


def _is_valid(key: PublicKey, signed: bytes, signature: bytes) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, _PKCS1, _SHA256)
        elif len(signature) == 2 * P256_BYTES:
            r, s = int.from_bytes(signature[:P256_BYTES], "big"), int.from_bytes(signature[P256_BYTES:], "big")
            key.verify(encode_dss_signature(r, s), signed, _ECDSA)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _web_key(key: PublicKey) -> dict[str, str]:
    common = {"use": "sig", "kid": key_id(key), "alg": algorithm_of(key)}
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return common | {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    point = key.public_numbers()
    return common | {
        "kty": "EC", "crv": "P-256", "x": _number(point.x, P256_BYTES), "y": _number(point.y, P256_BYTES),
    }


def _number(value: int, length: int = 0) -> str:
    return encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big")).decode("ascii")
