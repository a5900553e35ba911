"""Who may do what: authenticator, authorizers, tokens and reviews, put together over the watch caches."""

from cryptography.hazmat.primitives.asymmetric import ec

from wherry.kit.clock import Clock
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.auth.authenticator import Authenticator
from wherry.orchestration.apiserver.auth.authorizer import Attributes, FirstOf, forbidden_message
from wherry.orchestration.apiserver.auth.escalation import EscalationCheck
from wherry.orchestration.apiserver.auth.jwt import PrivateKey
from wherry.orchestration.apiserver.auth.node_authorizer import NodeAuthorizer
from wherry.orchestration.apiserver.auth.other_tokens import BootstrapTokens
from wherry.orchestration.apiserver.auth.rbac import RbacAuthorizer
from wherry.orchestration.apiserver.auth.reviews import Reviews
from wherry.orchestration.apiserver.auth.tokens import ServiceAccountTokens
from wherry.orchestration.apiserver.call.request import Target
from wherry.orchestration.apiserver.source import ObjectSource
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.objects.resources import Resource


class Access:
    """Holds the parts; `require` is the one question the pipeline asks."""

    def __init__(self, source: ObjectSource, clock: Clock, key: PrivateKey | None, cluster_domain: str) -> None:
        self.tokens = ServiceAccountTokens(
            key or ec.generate_private_key(ec.SECP256R1()), source, clock,
            issuer=f"https://kubernetes.default.svc.{cluster_domain}")
        rbac = RbacAuthorizer(source)
        self.authorizer = FirstOf([NodeAuthorizer(source), rbac])
        self.authenticator = Authenticator([self.tokens, BootstrapTokens(source, clock)], self.authorizer, clock)
        self.escalation = EscalationCheck(self.authorizer, rbac)
        self.reviews = Reviews(self.authenticator, self.authorizer, rbac, self.tokens, clock)

    def require(self, user: User, target: Target, field_selector: tuple[tuple[str, str], ...] = ()) -> None:
        """Raise `ApiError` 403 unless `user` may do what `target` says."""
        if user.is_master:
            return
        namespace = "" if target.resource == "namespaces" and not target.group and target.verb == "list" else target.namespace
        attributes = Attributes(
            user, target.verb, target.group, target.version, target.resource, target.subresource, namespace, target.name,
            field_selector=field_selector)
        decision = self.authorizer.authorize(attributes)
        if not decision.allowed:
            resource = Resource(target.group, target.version, "", target.resource, "", True)
            raise errors.forbidden(resource, target.name, forbidden_message(attributes, decision.reason))

    def require_path(self, user: User, method: str, path: str) -> None:
        """Raise `ApiError` 403 unless `user` may use a path that is no resource."""
        attributes = Attributes(user, method.lower(), path=path)
        decision = self.authorizer.authorize(attributes)
        if not decision.allowed:
            raise errors.forbidden_path(path, forbidden_message(attributes, decision.reason))
