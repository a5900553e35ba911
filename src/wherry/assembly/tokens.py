"""Bootstrap tokens: what lets a machine join, for a while.

In:    an admin's client. Out: Secrets of type bootstrap.kubernetes.io/token in kube-system, as kubeadm makes them.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

import base64
import secrets
import string
from datetime import datetime, timedelta

from wherry.assembly.join import Token, pin
from wherry.kit.clock import rfc3339
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import SECRETS
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.well_known import SECRET_TYPE_BOOTSTRAP_TOKEN

NAMESPACE, TYPE, PREFIX = "kube-system", SECRET_TYPE_BOOTSTRAP_TOKEN, "bootstrap-token-"
ALPHABET = string.ascii_lowercase + string.digits
GROUP = "system:bootstrappers:kubeadm:default-node-token"


async def create(client: Client, ca_pem: bytes, now: datetime, life: timedelta) -> Token:
    """A new token that holds for `life`."""
    made = Token(_random(6), _random(16), pin(ca_pem))
    data = {
        "token-id": made.id, "token-secret": made.secret, "expiration": rfc3339(now + life),
        "usage-bootstrap-authentication": "true", "auth-extra-groups": GROUP, "description": "made by wherry token create",
    }
    await client.create(SECRETS, {
        "metadata": {"name": PREFIX + made.id, "namespace": NAMESPACE}, "type": TYPE, "stringData": data})
    return made


async def listed(client: Client) -> list[tuple[str, str]]:
    """(id, when it ends) of every token there is, by id."""
    found = (await client.list(SECRETS, NAMESPACE, fields=f"type={TYPE}")).items
    return sorted((name_of(secret).removeprefix(PREFIX), _text(secret, "expiration")) for secret in found)


async def delete(client: Client, token_id: str) -> None:
    """Raise `NotFound` when there is none of that id."""
    await client.delete(SECRETS, PREFIX + token_id, NAMESPACE)


def _text(secret: Object, key: str) -> str:
    return base64.b64decode((secret.get("data") or {}).get(key) or "").decode(errors="replace")


def _random(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))
