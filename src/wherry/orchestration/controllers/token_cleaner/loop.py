"""Delete bootstrap tokens when their time is over.

In:    an informer of the Secrets of type bootstrap.kubernetes.io/token in kube-system.
Out:   expired ones deleted at their expiration; one whose expiration cannot be read stays, and lets nobody in.
Spec:  Kubernetes pkg/controller/bootstrap/tokencleaner.go.
"""

import base64
import binascii
from datetime import timedelta

from wherry.kit.clock import Clock, parse_rfc3339
from wherry.kit.errors import NotFound
from wherry.orchestration.client.loop_kit import Loop, Seen, Watch
from wherry.orchestration.objects.kinds import SECRETS
from wherry.orchestration.objects.meta import Object, name_of, revision_of, uid_of
from wherry.orchestration.objects.well_known import SECRET_TYPE_BOOTSTRAP_TOKEN

NAMESPACE, TYPE = "kube-system", SECRET_TYPE_BOOTSTRAP_TOKEN


class Controller(Loop[str]):
    """token-cleaner-controller."""

    name = "token-cleaner-controller"
    watches = (Watch(SECRETS, namespace=NAMESPACE, fields=f"type={TYPE}"),)

    async def reconcile(self, key: str, seen: Seen) -> float | None:
        """See to one token."""
        secret = seen[SECRETS].get(key)
        left = None if secret is None else left_of(secret, self.clock)
        if secret is None or left is None:
            return None
        if left > timedelta():
            return left.total_seconds()
        try:
            await self.client.delete(SECRETS, name_of(secret), NAMESPACE, uid=uid_of(secret), revision=revision_of(secret))
        except NotFound:
            return None
        return None


def left_of(secret: Object, clock: Clock) -> timedelta | None:
    """Until it ends; None when it never does, or when nobody can read when."""
    try:
        text = base64.b64decode((secret.get("data") or {}).get("expiration") or "").decode()
        return parse_rfc3339(text) - clock.now() if text else None
    except (ValueError, binascii.Error):
        return None
