"""Answer the review kinds of authentication.k8s.io and authorization.k8s.io: nothing is stored, the answer is in status.

In:    the caller and the posted object (defaulted, of the right kind).
Out:   the object with `status`; `ApiError` 422 when the question is malformed.
Spec:  https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/
"""

from collections.abc import Callable, Mapping
from typing import Any

from wherry.kit.clock import Clock, rfc3339
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.auth.authenticator import Authenticator
from wherry.orchestration.apiserver.auth.authorizer import Attributes, Authorizer
from wherry.orchestration.apiserver.auth.rbac import RbacAuthorizer
from wherry.orchestration.apiserver.auth.tokens import ServiceAccountTokens
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.objects.meta import Object, namespace_of

AUTHORIZATION = "authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"
_ONE_OF = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


class Reviews:
    """`answer(kind, user, obj, namespace)` for the six kinds in `kinds`."""

    def __init__(
        self,
        authenticator: Authenticator,
        authorizer: Authorizer,
        rbac: RbacAuthorizer,
        tokens: ServiceAccountTokens,
        clock: Clock,
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._rbac = rbac
        self._tokens = tokens
        self._clock = clock
        self._answers: Mapping[str, Callable[[User, Object, str], Object]] = {
            "SelfSubjectAccessReview": self._self_access,
            "SubjectAccessReview": self._access,
            "LocalSubjectAccessReview": self._local_access,
            "SelfSubjectRulesReview": self._rules,
            "SelfSubjectReview": self._self_subject,
            "TokenReview": self._token,
        }
        self.kinds = frozenset(self._answers)

    def answer(self, kind: str, user: User, obj: Object, namespace: str = "") -> Object:
        """`obj` with its status. `namespace` is that of the request path."""
        status = self._answers[kind](user, obj, namespace)
        if kind == "SelfSubjectReview":
            return {**obj, "metadata": {"creationTimestamp": rfc3339(self._clock.now())}, "status": status}
        if kind == "SelfSubjectRulesReview":  # the question is not repeated
            return {**obj, "metadata": {}, "spec": {}, "status": status}
        return {**obj, "status": status}

    def _self_access(self, user: User, obj: Object, namespace: str) -> Object:
        del namespace
        return self._decide("SelfSubjectAccessReview", user, obj.get("spec") or {})

    def _access(self, user: User, obj: Object, namespace: str) -> Object:
        del user, namespace
        spec = obj.get("spec") or {}
        return self._decide("SubjectAccessReview", _subject("SubjectAccessReview", spec), spec)

    def _local_access(self, user: User, obj: Object, namespace: str) -> Object:
        del user
        kind, spec = "LocalSubjectAccessReview", obj.get("spec") or {}
        inside = (spec.get("resourceAttributes") or {}).get("namespace", "")
        if spec.get("nonResourceAttributes"):
            raise _invalid(kind, "spec.nonResourceAttributes", "Invalid value", "disallowed on this kind of request")
        if namespace_of(obj) not in ("", namespace):
            raise errors.bad_request("namespace on the object does not match the namespace of the request")
        if inside != namespace:
            raise _invalid(kind, "spec.resourceAttributes.namespace", f'Invalid value: "{inside}"',
                           "must match metadata.namespace")
        return self._decide(kind, _subject(kind, spec), spec)

    def _decide(self, kind: str, user: User, spec: Mapping[str, Any]) -> Object:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (path is None):
            field = "spec.resourceAttributes" if resource is None else "spec.nonResourceAttributes"
            if resource is None:
                raise _invalid(kind, field, "Invalid value", _ONE_OF)
            raise _invalid(kind, field, "Invalid value", "cannot be specified in combination with resourceAttributes")
        decision = self._authorizer.authorize(_attributes(user, resource, path or {}))
        status: Object = {"allowed": decision.allowed}
        return status | ({"reason": decision.reason} if decision.reason else {})

    def _rules(self, user: User, obj: Object, namespace: str) -> Object:
        del namespace
        inside = (obj.get("spec") or {}).get("namespace", "")
        if not inside:
            raise errors.bad_request("no namespace on request")
        rules, missing = self._rbac.rules_of(user, inside)
        if user.is_master:
            everything: list[Object] = [
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]
            rules = [*everything, *(rule for rule in rules if rule not in everything)]
        status: Object = {
            "resourceRules": [_without(rule, "nonResourceURLs") for rule in rules if rule.get("resources")],
            "nonResourceRules": [
                {"nonResourceURLs": rule["nonResourceURLs"], "verbs": rule["verbs"]}
                for rule in rules if rule.get("nonResourceURLs")
            ],
            "incomplete": bool(missing) or bool(user.node_name),
        }
        problems = missing + (["node authorizer does not support user rule resolution"] if user.node_name else [])
        return status | ({"evaluationError": ", ".join(problems)} if problems else {})

    def _self_subject(self, user: User, obj: Object, namespace: str) -> Object:
        del obj, namespace
        return {"userInfo": user_info(user)}

    def _token(self, user: User, obj: Object, namespace: str) -> Object:
        del user, namespace
        spec = obj.get("spec") or {}
        token = spec.get("token", "")
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        audiences = tuple(spec.get("audiences") or self._tokens.audiences)
        found = self._authenticator.user_of_token(token, audiences)
        if found is None:
            return {"authenticated": False, "user": {}, "error": "[invalid bearer token]"}
        matching = self._tokens.audiences_of(token, audiences) or list(audiences)
        return {"authenticated": True, "user": user_info(found), "audiences": matching}


def user_info(user: User) -> Object:
    """authentication.k8s.io/v1 UserInfo; also what admission reviews carry."""
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _subject(kind: str, spec: Mapping[str, Any]) -> User:
    if not spec.get("user") and not spec.get("groups"):
        raise _invalid(kind, "spec.user", 'Invalid value: ""', "at least one of user or group must be specified")
    extra = {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()), extra)


def _attributes(user: User, resource: Mapping[str, Any] | None, path: Mapping[str, Any]) -> Attributes:
    if resource is None:
        return Attributes(user, path.get("verb", ""), path=path.get("path", "") or "/")
    requirements = (resource.get("fieldSelector") or {}).get("requirements") or ()
    pairs = tuple(
        (requirement.get("key", ""), value)
        for requirement in requirements if requirement.get("operator") == "In" and len(requirement["values"]) == 1
        for value in requirement["values"]
    )
    version = resource.get("version", "")
    return Attributes(
        user, resource.get("verb", ""), resource.get("group", ""), "" if version == "*" else version,
        resource.get("resource", ""), resource.get("subresource", ""), resource.get("namespace", ""),
        resource.get("name", ""), field_selector=pairs,
    )


def _invalid(kind: str, field: str, start: str, text: str) -> errors.ApiError:
    return errors.invalid(AUTHORIZATION, kind, "", [errors.cause("FieldValueInvalid", field, f"{start}: {text}")])


def _without(rule: Mapping[str, Any], key: str) -> Object:
    return {name: value for name, value in rule.items() if name != key}
