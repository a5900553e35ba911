"""The refusal of an apply that would change what others own, in upstream's words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wherry.kit.errors import Conflict
from wherry.orchestration.objects.apply.managers import Manager
from wherry.orchestration.objects.apply.paths import Fields, read_fields, text_of

REASON = "FieldManagerConflict"


@dataclass(frozen=True, slots=True)
class ConflictCause:
    """One field of one manager, as `details.causes` of the Status has it."""

    reason: str
    message: str
    field: str


class ApplyConflict(Conflict):
    """Other managers own fields this apply would set to something else; `force` takes them over."""

    def __init__(self, conflicts: Mapping[Manager, Fields]) -> None:
        found = sorted(
            (str(manager), sorted(text_of(path) for path in read_fields(fields))) for manager, fields in conflicts.items()
        )
        self.causes: tuple[ConflictCause, ...] = tuple(
            ConflictCause(REASON, f"conflict with {manager}", field) for manager, fields in found for field in fields
        )
        super().__init__(_message(found, len(self.causes)))


def _message(found: Sequence[tuple[str, list[str]]], count: int) -> str:
    if count == 1:
        manager, fields = found[0]
        return f"Apply failed with 1 conflict: conflict with {manager}: {fields[0]}"
    lines = [line for manager, fields in found for line in (f"conflicts with {manager}:", *(f"- {f}" for f in fields))]
    return f"Apply failed with {count} conflicts: " + "\n".join(lines)
