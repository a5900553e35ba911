"""Service-account tokens: issue for a TokenRequest, verify with what they are bound to, publish the keys.

In:    the account's key, an `ObjectSource`, a clock.
Out:   signed tokens; `VerifiedToken`; the OIDC discovery document and key set.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ , RFC 7519, OpenID Connect
       Discovery 1.0.
Cost:  bench: verify 0.1 ms the first time, then until something of the kinds it is bound to changes a dictionary look-up.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from wherry.kit.clock import Clock, parse_rfc3339, rfc3339
from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver import user as users
from wherry.orchestration.apiserver.auth.bounded import BoundedCache
from wherry.orchestration.apiserver.auth.jwt import PrivateKey, PublicKey, Signer, Verifier, key_set
from wherry.orchestration.apiserver.auth.secret_text import secret_text
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.apiserver.user import User, service_account_user
from wherry.orchestration.objects.kinds import NODES, PODS, SECRETS, SERVICE_ACCOUNTS, TOKEN_REVIEWS
from wherry.orchestration.objects.meta import Object, name_of, namespace_of, uid_of
from wherry.orchestration.objects.resources import Resource

LEGACY_ISSUER = "kubernetes/serviceaccount"
EXPIRATION_S_DEFAULT = 3600
EXPIRATION_S_MIN = 600
EXPIRATION_S_MAX = 1 << 32
# A pod token asked for with this odd lifetime is the mounted one of a client that may not re-read its file: it stays
# valid for a year and carries the time after which its use is worth a warning.
WARN_ONLY_EXPIRATION_S = 3607
EXTENDED_EXPIRATION_S = 365 * 24 * 3600
DELETION_LEEWAY_S = 60  # bound objects that are being deleted still count for this long after their grace period
CLOCK_SKEW_S = 60  # another API server's clock may be this far ahead
TOKEN_LENGTH_MAX = 16 * 1024
_BOUND_KINDS = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """`audiences` are those of the token that the verifier was asked for."""

    user: User
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Checked:
    """Holds until then, while nothing of what the token refers to changes."""

    user: User
    until: float
    resources: tuple[Resource, ...]
    revision: int


class ServiceAccountTokens:
    """Issues and verifies the tokens of one cluster. The first of `audiences` is the API server's own."""

    def __init__(
        self,
        key: PrivateKey,
        source: ObjectSource,
        clock: Clock,
        *,
        issuer: str = "https://kubernetes.default.svc.cluster.local",
        older_keys: Sequence[PublicKey] = (),
    ) -> None:
        self._signer = Signer(key)
        self._source = source
        self._clock = clock
        self.issuer = issuer
        self.audiences = (issuer,)
        self._keys = (self._signer.public_key, *older_keys)
        self._verifier = Verifier(self._keys)
        self._claims: BoundedCache[str, dict[str, Any]] = BoundedCache(4096)
        self._checked: BoundedCache[str, _Checked] = BoundedCache(4096)

    def discovery_document(self, server_url: str) -> Object:
        """The body of /.well-known/openid-configuration."""
        algorithms = sorted({key["alg"] for key in self.key_set()["keys"]})
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{server_url}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        }

    def key_set(self) -> Object:
        """The body of /openid/v1/jwks, content type application/jwk-set+json."""
        return key_set(self._keys)

    def issue(self, account: Object, request: Object) -> Object:
        """Answer a TokenRequest for `account` with its status filled in. Raise `ApiError` when it may not be."""
        spec = dict(request.get("spec") or {})
        expiration_s = spec.get("expirationSeconds") or EXPIRATION_S_DEFAULT
        _validate_expiration(expiration_s)
        spec["expirationSeconds"] = expiration_s
        spec["audiences"] = list(spec.get("audiences") or self.audiences)
        now = int(self._clock.now().timestamp())
        private = self._bound_claims(account, spec.get("boundObjectRef") or {})
        life_s = expiration_s
        if "pod" in private and expiration_s == WARN_ONLY_EXPIRATION_S and spec["audiences"] == list(self.audiences):
            private["warnafter"] = now + expiration_s
            life_s = EXTENDED_EXPIRATION_S
        claims = {
            "aud": spec["audiences"], "exp": now + life_s, "iat": now, "iss": self.issuer, "jti": str(uuid.uuid4()),
            "kubernetes.io": private, "nbf": now,
            "sub": f"{users.SERVICE_ACCOUNT_PREFIX}{namespace_of(account)}:{name_of(account)}",
        }
        expires_at = rfc3339(datetime.fromtimestamp(now + expiration_s, UTC))
        status = {"token": self._signer.sign(claims), "expirationTimestamp": expires_at}
        return {"kind": "TokenRequest", "apiVersion": TOKEN_REVIEWS.api_version} | request | {
            "spec": spec, "status": status,
            "metadata": {"name": name_of(account), "namespace": namespace_of(account), "uid": uid_of(account)}
            | (request.get("metadata") or {}) | {"creationTimestamp": rfc3339(datetime.fromtimestamp(now, UTC))},
        }

    def issue_for_secret(self, account: Object, secret: Object) -> str:
        """The endless token of a Secret of type kubernetes.io/service-account-token."""
        return self._signer.sign({
            "iss": LEGACY_ISSUER,
            "kubernetes.io/serviceaccount/namespace": namespace_of(account),
            "kubernetes.io/serviceaccount/secret.name": name_of(secret),
            "kubernetes.io/serviceaccount/service-account.name": name_of(account),
            "kubernetes.io/serviceaccount/service-account.uid": uid_of(account),
            "sub": f"{users.SERVICE_ACCOUNT_PREFIX}{namespace_of(account)}:{name_of(account)}",
        })

    def user_of(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """The account `token` proves, or None; see `verify` for the reason."""
        try:
            return self.verify(token, audiences).user
        except Invalid:
            return None

    def audiences_of(self, token: str, audiences: Sequence[str]) -> list[str]:
        """Those of `audiences` that `token` is for; none when it is no valid token."""
        try:
            return list(self.verify(token, audiences).audiences)
        except Invalid:
            return []

    def verify(self, token: str, audiences: Sequence[str] = ()) -> VerifiedToken:
        """Check signature, times, audience, and that account and bound object are still there. Raise `Invalid`."""
        claims = self._claims.get(token)
        if claims is None:
            if len(token) > TOKEN_LENGTH_MAX or token.count(".") != 2:
                raise Invalid("not a service account token")
            claims = self._verifier.claims_of(token)
            if claims is None:
                raise Invalid("service account token has an invalid signature")
            self._claims.put(token, claims)
        matching = self._matching_audiences(claims, audiences or self.audiences)
        return VerifiedToken(self._checked_user(token, claims), matching)

    def _matching_audiences(self, claims: Mapping[str, Any], audiences: Sequence[str]) -> tuple[str, ...]:
        if claims.get("iss") == LEGACY_ISSUER:
            held: Sequence[str] = self.audiences
        elif claims.get("iss") == self.issuer:
            audience = claims.get("aud") or ()
            held = [audience] if isinstance(audience, str) else audience
        else:
            raise Invalid("service account token has an unknown issuer")
        matching = tuple(audience for audience in audiences if audience in held)
        if not matching:
            raise Invalid(f"token audiences {list(held)!r} is invalid for the target audiences {list(audiences)!r}")
        return matching

    def _checked_user(self, token: str, claims: Mapping[str, Any]) -> User:
        now = self._clock.now().timestamp()
        checked = self._checked.get(token)
        if checked is None or now >= checked.until or self._source.revision(*checked.resources) != checked.revision:
            checked = self._check(token, claims, now)
            self._checked.put(token, checked)
        return checked.user

    def _check(self, token: str, claims: Mapping[str, Any], now: float) -> _Checked:
        if claims["iss"] == LEGACY_ISSUER:
            resources: tuple[Resource, ...] = (SERVICE_ACCOUNTS, SECRETS)
            return _Checked(self._check_legacy(token, claims), float("inf"), resources, self._source.revision(*resources))
        until = float(claims.get("exp") or 0)
        if now >= until:
            raise Invalid("service account token has expired")
        if now + CLOCK_SKEW_S < float(claims.get("nbf") or 0):
            raise Invalid("service account token is not valid yet")
        private = claims.get("kubernetes.io") or {}
        namespace = str(private.get("namespace", ""))
        account = private.get("serviceaccount") or {}
        checks = [(SERVICE_ACCOUNTS, namespace, account)]
        checks += [(SECRETS, namespace, private["secret"])] if "secret" in private else []
        checks += [(PODS, namespace, private["pod"])] if "pod" in private else []
        if "node" in private and "pod" not in private:
            checks.append((NODES, "", private["node"]))
        for resource, inside, reference in checks:
            until = min(until, self._live_until(resource, inside, reference, now))
        user = service_account_user(namespace, account["name"], account["uid"], _extra(claims, private))
        resources = tuple(resource for resource, _, _ in checks)
        return _Checked(user, until, resources, self._source.revision(*resources))

    def _live_until(self, resource: Resource, namespace: str, reference: Mapping[str, str], now: float) -> float:
        obj = self._source.get(resource, namespace, reference.get("name", ""))
        if obj is None or uid_of(obj) != reference.get("uid"):
            raise Invalid(f"{resource.kind} {reference.get('name', '')!r} of the service account token is gone")
        deleted_at = obj["metadata"].get("deletionTimestamp")
        if not deleted_at:
            return float("inf")
        until = parse_rfc3339(deleted_at).timestamp() + DELETION_LEEWAY_S
        if now >= until:
            raise Invalid(f"{resource.kind} {reference['name']!r} of the service account token has been deleted")
        return until

    def _check_legacy(self, token: str, claims: Mapping[str, Any]) -> User:
        def claim(name: str) -> str:
            return str(claims.get(f"kubernetes.io/serviceaccount/{name}", ""))

        namespace, account_name = claim("namespace"), claim("service-account.name")
        account = self._source.get(SERVICE_ACCOUNTS, namespace, account_name)
        secret = self._source.get(SECRETS, namespace, claim("secret.name"))
        if account is None or uid_of(account) != claim("service-account.uid"):
            raise Invalid(f"ServiceAccount {account_name!r} of the token is gone")
        if secret is None or secret_text(secret, "token") != token or secret["metadata"].get("deletionTimestamp"):
            raise Invalid(f"Secret {claim('secret.name')!r} does not hold this token any more")
        return service_account_user(namespace, account_name, uid_of(account))

    def _bound_claims(self, account: Object, reference: Mapping[str, str]) -> Object:
        private: Object = {
            "namespace": namespace_of(account),
            "serviceaccount": {"name": name_of(account), "uid": uid_of(account)},
        }
        if not reference:
            return private
        kind = reference.get("kind", "")
        resource = _BOUND_KINDS.get(kind)
        if resource is None or reference.get("apiVersion", "v1") != "v1":
            raise errors.bad_request(
                f"cannot bind token to object of type {reference.get('apiVersion', '')}, Kind={kind}")
        bound = self._bound_object(resource, namespace_of(account), reference)
        private[kind.lower()] = {"name": name_of(bound), "uid": uid_of(bound)}
        if resource is PODS:
            private |= self._node_of(account, bound)
        return private

    def _bound_object(self, resource: Resource, namespace: str, reference: Mapping[str, str]) -> Object:
        name = reference.get("name", "")
        bound = self._source.get(resource, namespace if resource.namespaced else "", name)
        if bound is None:
            raise errors.not_found(resource, name)
        uid = reference.get("uid", "")
        if uid and uid != uid_of(bound):
            raise errors.conflict(resource, name, (
                f"the UID in the bound object reference ({uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated"))
        return bound

    def _node_of(self, account: Object, pod: Object) -> Object:
        spec = pod.get("spec") or {}
        if spec.get("serviceAccountName", "default") != name_of(account):
            raise errors.bad_request(
                f'cannot bind token for serviceaccount "{name_of(account)}" to pod running with different '
                "serviceaccount name.")
        node_name = spec.get("nodeName", "")
        if not node_name:
            return {}
        node = self._source.get(NODES, "", node_name)
        return {"node": {"name": node_name} | ({"uid": uid_of(node)} if node else {})}


def _validate_expiration(expiration_s: object) -> None:
    if not isinstance(expiration_s, int) or isinstance(expiration_s, bool):
        raise errors.bad_request("spec.expirationSeconds must be an integer")
    if expiration_s < EXPIRATION_S_MIN:
        text = "may not specify a duration less than 10 minutes"
    elif expiration_s > EXPIRATION_S_MAX:
        text = "may not specify a duration larger than 2^32 seconds"
    else:
        return
    cause = errors.cause("FieldValueInvalid", "spec.expirationSeconds", f"Invalid value: {expiration_s}: {text}")
    raise errors.invalid("authentication.k8s.io", "TokenRequest", "", [cause])


def _extra(claims: Mapping[str, Any], private: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {}
    for kind, name_key, uid_key in (
        ("pod", users.EXTRA_POD_NAME, users.EXTRA_POD_UID),
        ("node", users.EXTRA_NODE_NAME, users.EXTRA_NODE_UID),
    ):
        if kind in private:
            extra[name_key] = (private[kind]["name"],)
            if private[kind].get("uid"):
                extra[uid_key] = (private[kind]["uid"],)
    if claims.get("jti"):
        extra[users.EXTRA_CREDENTIAL_ID] = (f"JTI={claims['jti']}",)
    return extra
