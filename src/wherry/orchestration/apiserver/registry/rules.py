"""How objects of a resource are read, defaulted and validated: one face for built-in and custom resources."""

from copy import deepcopy
from typing import Protocol

from wherry.orchestration.apiserver import errors
from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.defaulting import apply_defaults
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.structure import Node
from wherry.orchestration.objects.validation import validate


class Rules(Protocol):
    """Each method owns the object it is given."""

    def read(self, obj: Object) -> tuple[Object, tuple[str, ...]]:
        """The object without unknown fields, and a text for each of those. Raise `Malformed` for wrong types."""

    def default(self, obj: Object) -> Object:
        """With defaults filled in."""

    def complete_status(self, obj: Object, old: Object | None) -> None:
        """Give the shape of its type to a status that the server's own parts have changed."""

    def check(self, obj: Object, old: Object | None, subresource: str) -> None:
        """Raise `ApiError` 422 when the object is not valid."""


class BuiltInRules:
    """Rules generated from upstream's schema and written by hand for its semantics (`objects/`)."""

    def __init__(self, resource: Resource, node: Node, stored_group: str) -> None:
        self._resource = resource
        self._stored_group = stored_group  # which refusals name: an Event is core's, whichever group was asked
        self._node = node

    def read(self, obj: Object) -> tuple[Object, tuple[str, ...]]:
        read = typed(obj, self._node)
        return read.obj, read.unknown

    def default(self, obj: Object) -> Object:
        return apply_defaults(self._resource, obj)

    def complete_status(self, obj: Object, old: Object | None) -> None:
        status, node = obj.get("status"), self._node.fields.get("status")
        if node is not None and status is not None and (old is None or status != old.get("status")):
            obj["status"] = typed(status, node).obj

    def check(self, obj: Object, old: Object | None, subresource: str) -> None:
        causes = validate(self._resource, obj, old, subresource=subresource)
        if causes and old is not None:  # what an earlier version stored may lack what is written today
            causes = validate(self._resource, obj, typed(deepcopy(old), self._node).obj, subresource=subresource)
        if causes:
            listed = [errors.cause(c.reason, c.field, c.message) for c in causes]
            raise errors.invalid(self._stored_group, self._resource.kind, name_of(obj), listed)
