"""TLS of the servers here and of the servers they ask: what is shown, and whose certificates are read.

In:    a PEM file with certificate and key, the CA's PEM file. Out: a context for `serve`.
       A `caBundle` as API objects carry it. Out: a context for whoever asks what stands behind it.
"""

import base64
import binascii
import ssl
from pathlib import Path

from wherry.kit.errors import Unavailable


def server_context(pair: Path, ca: Path) -> ssl.SSLContext:
    """For a listener that reads client certificates of `ca`, and also lets in those without one: HTTP/1.1, TLS 1.2 and up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(ca_bundle: str, pair: Path | None = None) -> ssl.SSLContext:
    """For a client that trusts `ca_bundle` only (PEM in base64), or the machine's roots without one, and shows `pair`.

    Raise `Unavailable` for a bundle that cannot be read."""
    try:
        pem = base64.b64decode(ca_bundle).decode() if ca_bundle else ""
        context = ssl.create_default_context(cadata=pem) if pem else ssl.create_default_context()
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError, ValueError) as error:
        raise Unavailable(f"unable to load root certificates: {error}") from error
    if pair is not None:
        context.load_cert_chain(pair)
    return context
