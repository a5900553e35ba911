"""Delete bootstrap tokens when their time is over.

In:    an informer of the Secrets of type bootstrap.kubernetes.io/token in kube-system.
Out:   expired ones deleted at their expiration; one whose expiration cannot be read stays, and lets nobody in.
Spec:  Kubernetes pkg/controller/bootstrap/tokencleaner.go.
"""

import base64
import binascii
import logging
from datetime import timedelta

from wherry.kit.clock import Clock, parse_rfc3339
from wherry.kit.errors import NotFound
from wherry.orchestration.client.client import Client
from wherry.orchestration.client.controller import run_controller
from wherry.orchestration.client.informers import Informers
from wherry.orchestration.client.recorder import Recorder
from wherry.orchestration.client.workqueue import KeyedQueue
from wherry.orchestration.controllers.workload.children import wake_on_change
from wherry.orchestration.objects.kinds import SECRETS
from wherry.orchestration.objects.meta import Object, name_of, revision_of, uid_of

NAME = "token-cleaner-controller"
NAMESPACE, TYPE = "kube-system", "bootstrap.kubernetes.io/token"

log = logging.getLogger(__name__)


class Controller:
    """token-cleaner-controller. Keys are names of Secrets."""

    def __init__(self, client: Client, informers: Informers, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens = informers.of(SECRETS, NAMESPACE, fields=f"type={TYPE}")
        self._queue: KeyedQueue[str] = KeyedQueue()

    async def run(self) -> None:
        """Run until cancelled. The informers run elsewhere."""
        await self._tokens.wait_synced()
        wake_on_change(self._tokens, self._queue)
        await run_controller(NAME, self._queue, self.reconcile, workers=1)

    async def reconcile(self, key: str) -> None:
        """See to one token."""
        secret = self._tokens.get(key)
        left = None if secret is None else left_of(secret, self._clock)
        if secret is None or left is None:
            return
        if left > timedelta():
            self._queue.add_after(key, left / timedelta(seconds=1))
            return
        try:
            await self._client.delete(SECRETS, name_of(secret), NAMESPACE, uid=uid_of(secret), revision=revision_of(secret))
        except NotFound:
            return


def left_of(secret: Object, clock: Clock) -> timedelta | None:
    """Until it ends; None when it never does, or when nobody can read when."""
    try:
        text = base64.b64decode((secret.get("data") or {}).get("expiration") or "").decode()
        return parse_rfc3339(text) - clock.now() if text else None
    except (ValueError, binascii.Error):
        return None
