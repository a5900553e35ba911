"""TLS of the servers here: what a listener shows, and whose certificates it reads.

In:    a PEM file with certificate and key, the CA's PEM file. Out: a context for `serve`.
"""

import ssl
from pathlib import Path


def server_context(pair: Path, ca: Path) -> ssl.SSLContext:
    """For a listener that reads client certificates of `ca`, and also lets in those without one: HTTP/1.1, TLS 1.2 and up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
