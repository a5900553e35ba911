"""Read one entry of a Secret's data."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any


def secret_text(secret: Mapping[str, Any], key: str) -> str:
    """The decoded entry, "" when it is absent or no base64 of UTF-8."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key, ""), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""
