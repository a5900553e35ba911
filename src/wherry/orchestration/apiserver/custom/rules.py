"""Custom resources by the schema of their CRD version: read (prune), default, check."""

from functools import cached_property

from wherry.orchestration.apiserver import errors
from wherry.orchestration.objects.custom.schema import CompiledSchema, compile_schema
from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.meta import Object, name_of
from wherry.orchestration.objects.resources import Resource
from wherry.orchestration.objects.schema_data import OBJECT_META, definition
from wherry.orchestration.objects.structure import Node
from wherry.orchestration.objects.validation import Causes
from wherry.orchestration.objects.validation.metadata import check_metadata, check_metadata_update

ANYTHING: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class CustomRules:
    """See `registry.rules.Rules`. The schema is compiled when first needed."""

    def __init__(self, resource: Resource, schema: Object | None) -> None:
        self._resource = resource
        self._schema = schema or ANYTHING

    @cached_property
    def compiled(self) -> CompiledSchema:
        """The schema, ready."""
        return compile_schema(self._schema)

    @property
    def node(self) -> Node:
        """The structure, for patches and ownership."""
        return self.compiled.node

    def read(self, obj: Object) -> tuple[Object, tuple[str, ...]]:
        metadata = obj.get("metadata")
        unknown: list[str] = []
        if isinstance(metadata, dict):
            read = typed(metadata, definition(OBJECT_META))
            obj["metadata"] = read.obj
            unknown += [text.replace('field "', 'field "metadata.', 1) for text in read.unknown]
        elif metadata is not None:
            raise errors.bad_request("json: cannot unmarshal metadata into a Go struct of type v1.ObjectMeta")
        unknown += self.compiled.prune(obj)
        return obj, tuple(unknown)

    def default(self, obj: Object) -> Object:
        return self.compiled.default(obj)

    def complete_status(self, obj: Object, old: Object | None) -> None:
        """The server adds nothing to the status of a custom resource."""

    def check(self, obj: Object, old: Object | None, subresource: str) -> None:
        found = Causes()
        check_metadata(self._resource, obj, found)
        if old is not None:
            check_metadata_update(obj, old, found)
        found += self.compiled.validate(obj, old)
        if found:
            listed = [errors.cause(c.reason, c.field, c.message) for c in found]
            raise errors.invalid(self._resource.group, self._resource.kind, name_of(obj), listed)
