"""Bearer tokens other than service-account ones: a static list, and bootstrap Secrets that let a machine join.

Spec:  https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file and
       https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

import csv
import hmac
import io
import re
from collections.abc import Mapping, Sequence

from wherry.kit.clock import Clock, parse_rfc3339
from wherry.kit.errors import Invalid
from wherry.orchestration.apiserver.auth.secret_text import secret_text
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.apiserver.user import AUTHENTICATED, BOOTSTRAPPERS, User
from wherry.orchestration.objects.kinds import SECRETS
from wherry.orchestration.objects.meta import Object, is_deleting
from wherry.orchestration.objects.well_known import SECRET_TYPE_BOOTSTRAP_TOKEN

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class StaticTokens:
    """Tokens from a file, fixed for the life of the process."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = dict(users)

    @classmethod
    def parse(cls, text: str) -> "StaticTokens":
        """Read lines `token,user,uid,"group1,group2"`; groups are optional."""
        users: dict[str, User] = {}
        for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
            if not row or row[0].startswith("#"):
                continue
            if len(row) < 3 or not row[0] or not row[1]:
                raise Invalid(f"token file line {number}: wants token,user,uid and optionally groups")
            groups = tuple(group.strip() for group in row[3].split(",") if group.strip()) if len(row) > 3 else ()
            users[row[0]] = User(row[1], row[2], (*groups, AUTHENTICATED))
        return cls(users)

    def user_of(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """The user of a token in the list; None for tokens of other audiences."""
        found: User | None = None
        for known, user in self._users.items():  # every entry is compared, so that timing tells nothing
            if hmac.compare_digest(known.encode(), token.encode("utf-8", "replace")):
                found = user
        return found


class BootstrapTokens:
    """Secrets of type bootstrap.kubernetes.io/token in kube-system."""

    def __init__(self, source: ObjectSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    def user_of(self, token: str, audiences: Sequence[str] = ()) -> User | None:
        """`system:bootstrap:<id>` when the Secret allows authentication and has not expired."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        token_id, token_secret = match.groups()
        secret = self._source.get(SECRETS, "kube-system", f"bootstrap-token-{token_id}")
        if secret is None or not self._is_usable(secret, token_id):
            return None
        if not hmac.compare_digest(secret_text(secret, "token-secret").encode(), token_secret.encode()):
            return None
        named = [group.strip() for group in secret_text(secret, "auth-extra-groups").split(",") if group.strip()]
        if not all(_EXTRA_GROUP.fullmatch(group) for group in named):
            return None
        return User(f"system:bootstrap:{token_id}", groups=(BOOTSTRAPPERS, *named, AUTHENTICATED))

    def _is_usable(self, secret: Object, token_id: str) -> bool:
        return (
            secret.get("type") == SECRET_TYPE_BOOTSTRAP_TOKEN
            and not is_deleting(secret)
            and secret_text(secret, "token-id") == token_id
            and secret_text(secret, "usage-bootstrap-authentication") == "true"
            and not self._is_expired(secret_text(secret, "expiration"))
        )

    def _is_expired(self, expiration: str) -> bool:
        if not expiration:
            return False
        try:
            expires_at = parse_rfc3339(expiration)
        except ValueError:
            return True
        return expires_at.tzinfo is None or self._clock.now() >= expires_at
