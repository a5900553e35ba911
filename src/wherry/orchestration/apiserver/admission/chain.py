"""Admission: plugins that may change an object before it is written, then plugins that may refuse it.

In:    an `AdmissionRequest`, whose `obj` the plugins own.
Out:   the object as it shall be written; `ApiError` 403 (or the plugin's own) when it must not be.
Spec:  https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from wherry.orchestration.apiserver.user import User
from wherry.orchestration.objects.meta import Object
from wherry.orchestration.objects.resources import Resource

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"
WRITES = frozenset({CREATE, UPDATE})
ITSELF = frozenset({""})  # the object, none of its subresources

Place = tuple[str, str]  # (group, plural)
POD_PLACE: Place = ("", "pods")
CLAIM_PLACE: Place = ("", "persistentvolumeclaims")


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
    def place(self) -> Place:
        """(group, plural), for plugins that tell resources apart."""
        return self.resource.group, self.resource.plural

    @property
    def new(self) -> Object:
        """The object of a create or an update."""
        assert self.obj is not None, f"{self.operation} has none"
        return self.obj


class Plugin:
    """An admission plugin. Override one or both of `admit` and `validate`: asked about what these three say, None: about all."""

    places: Collection[Place] | None = None
    operations: Collection[str] | None = None
    subresources: Collection[str] | None = None

    async def admit(self, request: AdmissionRequest) -> None:
        """Change `request.obj`, or refuse by raising `ApiError`."""

    async def validate(self, request: AdmissionRequest) -> None:
        """Refuse by raising `ApiError`; the object is final."""


class Chain:
    """All plugins, in order. Of the twenty there are, four to fifteen look at any one resource."""

    def __init__(self, plugins: Sequence[Plugin] = ()) -> None:
        self._admit = tuple(p for p in plugins if type(p).admit is not Plugin.admit)
        self._validate = tuple(p for p in plugins if type(p).validate is not Plugin.validate)
        self._looking: dict[tuple[Place, str, str], tuple[tuple[Plugin, ...], tuple[Plugin, ...]]] = {}

    async def admit(self, request: AdmissionRequest) -> None:
        """Let every plugin change the object."""
        for plugin in self._looking_at(request)[0]:
            await plugin.admit(request)

    async def validate(self, request: AdmissionRequest) -> None:
        """Let every plugin refuse."""
        for plugin in self._looking_at(request)[1]:
            await plugin.validate(request)

    def _looking_at(self, request: AdmissionRequest) -> tuple[tuple[Plugin, ...], tuple[Plugin, ...]]:
        what = request.place, request.operation, request.subresource
        found = self._looking.get(what)
        if found is None:
            found = self._looking[what] = _those_for(*what, self._admit), _those_for(*what, self._validate)
        return found


def _those_for(place: Place, operation: str, subresource: str, plugins: Sequence[Plugin]) -> tuple[Plugin, ...]:
    return tuple(
        plugin for plugin in plugins
        if (plugin.places is None or place in plugin.places)
        and (plugin.operations is None or operation in plugin.operations)
        and (plugin.subresources is None or subresource in plugin.subresources))
