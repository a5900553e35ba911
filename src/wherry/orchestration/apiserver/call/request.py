"""A path and method as what they ask of the API: verb, resource, namespace, name, subresource.

Spec:  https://kubernetes.io/docs/reference/using-api/api-concepts/ ; upstream's RequestInfoFactory.
"""

from dataclasses import dataclass, field

from wherry.kit.http.message import Request
from wherry.orchestration.apiserver import errors
from wherry.orchestration.apiserver.registry.served import Served
from wherry.orchestration.apiserver.user import User
from wherry.orchestration.objects.meta import Object

VERB_OF_METHOD = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
NAMESPACE_SUBRESOURCES = ("status", "finalize")
TRUE = ("true", "1", "t", "T", "TRUE", "True")
FIELD_MANAGER_MAX = 128
_OPTIONS_KIND = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about. `rest` is the path behind a proxy subresource. `resource` is "" for other paths."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


def target_of(request: Request) -> Target:
    """Parse. Paths outside /api/<version>/<resource> and /apis/<group>/<version>/<resource> have no resource."""
    path = request.path
    parts = path.split("/")
    if len(parts) > 3 and parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    elif len(parts) > 4 and parts[1] == "apis":
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return Target(request.method.lower())
    is_watch = rest[0] == "watch" and len(rest) > 1
    if is_watch:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in (*NAMESPACE_SUBRESOURCES, ""):
        namespace, rest = rest[1], rest[2:]
    resource = rest[0]
    if not resource:
        return Target(request.method.lower())
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if resource == "namespaces" and not group:
        namespace = name
    verb = _verb(request, name, is_watch)
    return Target(verb, group, version, resource, namespace, name, subresource, "/".join(rest[3:]))


def _verb(request: Request, name: str, is_watch: bool) -> str:
    verb = VERB_OF_METHOD.get(request.method, request.method.lower())
    if verb == "get" and (is_watch or (not name and request.param("watch") in TRUE)):
        return "watch"
    if name and verb == "get" and request.param("watch") in TRUE and "fieldSelector" in request.query:
        return "watch"
    if not name:
        return {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    return verb


@dataclass(slots=True)
class Call:
    """One request on its way: who, what, and the options every write shares. Warnings become headers.

    `body_bytes` is the length of a body that was read.
    """

    request: Request
    user: User
    target: Target
    served: Served
    warnings: list[str] = field(default_factory=list)
    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    body_bytes: int = 0

    @property
    def namespace(self) -> str:
        """The namespace of the path; "" for cluster-scoped resources and lists over all namespaces."""
        return self.target.namespace if self.served.resource.namespaced else ""

    def warn(self, text: str) -> None:
        """Add a `Warning: 299` header, once."""
        if text not in self.warnings:
            self.warnings.append(text)


def call_of(request: Request, user: User, target: Target, served: Served) -> Call:
    """Read the options of a write. Raise `ApiError` for values upstream refuses."""
    call = Call(request, user, target, served)
    query = request.query
    if not query:
        call.field_manager = user_agent_manager(request)
        return call
    if "dryRun" in query:
        if any(value not in ("All", "") for value in query["dryRun"]):
            raise _invalid_option(request.method, "dryRun", "NotSupported", f'Unsupported value: "{query["dryRun"][0]}": '
                                  'supported values: "All"')
        call.dry_run = "All" in query["dryRun"]
    if "fieldValidation" in query:
        call.field_validation = query["fieldValidation"][0] or "Warn"
        if call.field_validation not in ("Ignore", "Warn", "Strict"):
            raise _invalid_option(
                request.method, "fieldValidation", "NotSupported", f'Unsupported value: "{call.field_validation}": '
                'supported values: "Ignore", "Strict", "Warn"')
    call.field_manager = request.param("fieldManager") or user_agent_manager(request)
    if len(call.field_manager) > FIELD_MANAGER_MAX:
        raise _invalid_option(
            request.method, "fieldManager", "TooLong", f"Too long: may not be more than {FIELD_MANAGER_MAX} bytes")
    return call


def user_agent_manager(request: Request) -> str:
    """The field manager of a client that names none: its User-Agent up to the slash."""
    return request.headers.get("user-agent", "unknown").partition("/")[0][:FIELD_MANAGER_MAX] or "unknown"


def _invalid_option(method: str, name: str, reason: str, message: str) -> errors.ApiError:
    causes: list[Object] = [errors.cause(f"FieldValue{reason}", name, message)]
    return errors.invalid("meta.k8s.io", _OPTIONS_KIND.get(method, "CreateOptions"), "", causes)
