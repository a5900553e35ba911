"""The fields that field selectors may name, per resource.

Spec:  upstream's `ToSelectableFields` and field label conversions; `metadata.name` and `metadata.namespace` always work.
"""

from collections.abc import Mapping
from sys import intern

from wherry.orchestration.objects.meta import Object

# What a field reads when the object does not have it.
_ABSENT = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.replicas": "0", "status.succeeded": "0"}


class FieldReader:
    """Reads the selectable fields of one resource; `names` are those a selector may use."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = {name: tuple(path.split(".")) for name, path in paths.items()}
        self._absent = {name: _ABSENT.get(path, "") for name, path in paths.items()}
        self.position = {name: place for place, name in enumerate(("metadata.name", "metadata.namespace", *paths))}
        self.names = frozenset(self.position)

    def __call__(self, obj: Object) -> tuple[str, ...]:
        """The values, in the order of `position`; a tuple, because one is kept for each object."""
        metadata = obj["metadata"]
        found = [metadata["name"], metadata.get("namespace", "")]
        for name, path in self._paths.items():
            value: object = obj
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            found.append(self._absent[name] if value is None else intern(_text(value)))
        return tuple(found)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def reader_for_paths(paths: tuple[str, ...]) -> FieldReader:
    """The reader of a custom resource with `selectableFields` such as `.spec.color`."""
    return FieldReader({path.removeprefix("."): path.removeprefix(".") for path in paths})
