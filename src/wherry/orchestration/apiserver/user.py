"""Who makes a request: the value the authenticator returns and the authorizer, admission and audit read.

Spec: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.kit.errors import WherryError

MASTERS = "system:masters"  # every request of this group is allowed
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNTS = "system:serviceaccounts"
NODES = "system:nodes"
BOOTSTRAPPERS = "system:bootstrappers"
NODE_PREFIX = "system:node:"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

# Keys of `User.extra` for tokens bound to an object.
EXTRA_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
EXTRA_NODE_NAME = "authentication.kubernetes.io/node-name"
EXTRA_NODE_UID = "authentication.kubernetes.io/node-uid"
EXTRA_POD_NAME = "authentication.kubernetes.io/pod-name"
EXTRA_POD_UID = "authentication.kubernetes.io/pod-uid"


class Unauthorized(WherryError):
    """No credential, or one that proves nothing; answered as 401."""


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated caller. `groups` holds `system:authenticated` already."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_master(self) -> bool:
        """In `system:masters`: allowed everything."""
        return MASTERS in self.groups

    @property
    def node_name(self) -> str:
        """The node this caller is, "" when it is no node."""
        if NODES in self.groups and self.name.startswith(NODE_PREFIX):
            return self.name.removeprefix(NODE_PREFIX)
        return ""

    @property
    def service_account(self) -> tuple[str, str] | None:
        """(namespace, name) of the service account this caller is, or None."""
        if not self.name.startswith(SERVICE_ACCOUNT_PREFIX):
            return None
        namespace, _, name = self.name.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
        return (namespace, name) if namespace and name else None


def service_account_user(namespace: str, name: str, uid: str = "", extra: Mapping[str, tuple[str, ...]] | None = None
                         ) -> User:
    """The user a service account's token proves."""
    return User(
        name=f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}",
        uid=uid,
        groups=(SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}", AUTHENTICATED),
        extra=extra or {},
    )


def node_user(name: str) -> User:
    """The user a node's client certificate proves."""
    return User(f"{NODE_PREFIX}{name}", groups=(NODES, AUTHENTICATED))


# Who sends no credential at all. Only `/healthz` and its like are answered (authenticator).
ANONYMOUS = User("system:anonymous", groups=(UNAUTHENTICATED,))

# In-process callers (assembly) and tests.
ADMIN = User("kubernetes-admin", groups=(MASTERS, AUTHENTICATED))
LOOPBACK = User("system:apiserver", groups=(MASTERS, AUTHENTICATED))
CONTROLLER_MANAGER = User("system:kube-controller-manager", groups=(AUTHENTICATED,))
SCHEDULER = User("system:kube-scheduler", groups=(AUTHENTICATED,))
