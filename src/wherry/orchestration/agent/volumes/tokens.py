"""Service account tokens for projected volumes: asked for once, renewed at 80 % of their life or after 24 h.

Spec: authentication.k8s.io/v1 TokenRequest with boundObjectRef to the pod; default 3600 s, at least 600 s.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from wherry.kit.clock import Clock, parse_rfc3339
from wherry.orchestration.agent.facts.pod import spec_of
from wherry.orchestration.client.client import Client
from wherry.orchestration.objects.kinds import SERVICE_ACCOUNTS, TOKEN_REVIEWS
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of

LIFETIME_S_DEFAULT = 3600
LIFETIME_SHARE = 0.8
AGE_MAX = timedelta(hours=24)
AGE_MIN = timedelta(seconds=10)  # whatever the server says: never ask in a loop


@dataclass(frozen=True, slots=True)
class Token:
    """`renew_at` is when the next one is to be asked for."""

    text: str
    expires_at: datetime
    renew_at: datetime


class Tokens:
    """Cached per pod, account, audience and lifetime."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._cache: dict[tuple[str, str, str, int], Token] = {}

    async def token(self, pod: Object, source: Object) -> Token:
        """The token for one serviceAccountToken source. Raises when a renewal fails; the file with the old one stays."""
        account = str(spec_of(pod).get("serviceAccountName") or "default")
        lifetime_s = int(source.get("expirationSeconds") or LIFETIME_S_DEFAULT)
        key = (uid_of(pod), account, str(source.get("audience") or ""), lifetime_s)
        cached = self._cache.get(key)
        if cached is not None and self._clock.now() < cached.renew_at:
            return cached
        fresh = await self._request(pod, account, key[2], lifetime_s)
        self._cache[key] = fresh
        return fresh

    def release(self, uid: str) -> None:
        """Forget the tokens of a pod."""
        for key in [key for key in self._cache if key[0] == uid]:
            del self._cache[key]

    async def _request(self, pod: Object, account: str, audience: str, lifetime_s: int) -> Token:
        body = {
            "apiVersion": TOKEN_REVIEWS.api_version,
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": lifetime_s,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": uid_of(pod)},
            },
        }
        answer = await self._client.create_subresource(SERVICE_ACCOUNTS, account, namespace_of(pod), "token", body)
        now = self._clock.now()
        expires_at = parse_rfc3339(answer["status"]["expirationTimestamp"])
        renew_at = max(min(now + (expires_at - now) * LIFETIME_SHARE, now + AGE_MAX), now + AGE_MIN)
        return Token(str(answer["status"]["token"]), expires_at, renew_at)
