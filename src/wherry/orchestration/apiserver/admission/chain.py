"""Admission: plugins that may change an object before it is written, then plugins that may refuse it.

In:    an `AdmissionRequest`, whose `obj` the plugins own.
Out:   the object as it shall be written; `ApiError` 403 (or the plugin's own) when it must not be.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wherry.orchestration.apiserver.auth.user import User
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


@dataclass(slots=True)
class AdmissionRequest:
    """`obj` is None for deletions, `old` for creations. `options` are the Create/Update/DeleteOptions."""

    operation: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    user: User
    obj: Object | None = None
    old: Object | None = None
    is_dry_run: bool = False
    options: Object = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    is_foreign: bool = False  # a webhook changed `obj`: it must be read again like a body

    @property
    def place(self) -> tuple[str, str]:
        """(group, plural), for plugins that look at some resources only."""
        return self.resource.group, self.resource.plural


class Plugin:
    """An admission plugin. Override one or both."""

    async def admit(self, request: AdmissionRequest) -> None:
        """Change `request.obj`, or refuse by raising `ApiError`."""

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse by raising `ApiError`; the object is final."""


class Chain:
    """All plugins, in order."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._admit = tuple(p for p in plugins if type(p).admit is not Plugin.admit)
        self._validate = tuple(p for p in plugins if type(p).validate is not Plugin.validate)

    async def admit(self, request: AdmissionRequest) -> None:
        """Let every plugin change the object."""
        for plugin in self._admit:
            await plugin.admit(request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Let every plugin refuse."""
        for plugin in self._validate:
            await plugin.validate(request)
