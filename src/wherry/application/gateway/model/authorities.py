"""Certificate authorities that a ConfigMap or a TLS Secret holds under `ca.crt`.

In:    one reference, as Gateways (`caCertificateRefs` of a frontend) and BackendTLSPolicies make it.
Out:   PEM, or `Refused` with the reason Gateway API has for it. Whoever calls has checked grants.
Spec:  Gateway API v1 FrontendTLSValidation, BackendTLSPolicyValidation.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from wherry.application.gateway.model.freshness import Lack
from wherry.application.gateway.model.snapshot import Reader
from wherry.kit.errors import Invalid
from wherry.orchestration.objects.kinds import CONFIG_MAPS, SECRETS
from wherry.orchestration.objects.well_known import SECRET_TYPE_TLS

CA_ENTRY = "ca.crt"
CA_BYTES_MAX = 512 * 1024


class Refused(Invalid):
    """A reference that gives no authority; `reason` is a condition's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def authorities_of(reader: Reader, reference: Mapping[str, Any], namespace: str) -> bytes:
    """The certificates behind one reference, PEM."""
    kind, name = reference.get("kind"), f"{namespace}/{reference.get('name')}"
    if reference.get("group") or kind not in ("ConfigMap", "Secret"):
        raise Refused("InvalidKind", f"authorities of kind {kind} are not supported; ConfigMap and Secret are")
    held = reader.get((CONFIG_MAPS if kind == "ConfigMap" else SECRETS).qualified_name, name)
    if held is None:
        reader.lacks(Lack(CONFIG_MAPS if kind == "ConfigMap" else SECRETS, namespace, str(reference.get("name"))))
        more = f" of type {SECRET_TYPE_TLS}" if kind == "Secret" else ""
        raise Refused("InvalidCACertificateRef", f"{kind} {name}{more} not found")
    try:
        text = (held.get("data") or {})[CA_ENTRY]
        pem = text.encode() if kind == "ConfigMap" else base64.b64decode(text, validate=True)
        if len(pem) > CA_BYTES_MAX:
            raise Refused("InvalidCACertificateRef", f"{kind} {name}: {CA_ENTRY} is longer than {CA_BYTES_MAX} bytes")
        # Written anew, so that Envoy gets certificates alone and nothing that stood between them.
        return b"".join(found.public_bytes(Encoding.PEM) for found in x509.load_pem_x509_certificates(pem))
    except (KeyError, AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise Refused("InvalidCACertificateRef", f"{kind} {name}: {CA_ENTRY} is absent or holds no PEM certificate") from error
