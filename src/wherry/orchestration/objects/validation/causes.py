"""What validation finds: one `Cause` a field, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.

`Causes` is the list every validator writes into. Paths are text: `spec.containers[0].name`, `metadata.labels[app]`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

VALUE_LENGTH_MAX = 1024  # of a value repeated in a message


@dataclass(frozen=True, slots=True)
class Cause:
    """`reason` as in Status details; `message` has no path, `field` has it."""

    reason: str
    field: str
    message: str


class Causes(list[Cause]):
    """Causes in the order found."""

    def required(self, field: str, detail: str = "") -> None:
        self.append(Cause("FieldValueRequired", field, _with_detail("Required value", detail)))

    def invalid(self, field: str, value: Any, detail: str) -> None:
        self.append(Cause("FieldValueInvalid", field, _with_detail(f"Invalid value: {shown(value)}", detail)))

    def not_supported(self, field: str, value: Any, supported: Iterable[str]) -> None:
        names = ", ".join(f'"{name}"' for name in sorted(supported))
        detail = f"supported values: {names}" if names else ""
        text = _with_detail(f"Unsupported value: {shown(value)}", detail)
        self.append(Cause("FieldValueNotSupported", field, text))

    def forbidden(self, field: str, detail: str) -> None:
        self.append(Cause("FieldValueForbidden", field, _with_detail("Forbidden", detail)))

    def duplicate(self, field: str, value: Any) -> None:
        self.append(Cause("FieldValueDuplicate", field, f"Duplicate value: {shown(value)}"))

    def not_found(self, field: str, value: Any) -> None:
        self.append(Cause("FieldValueNotFound", field, f"Not found: {shown(value)}"))

    def too_long(self, field: str, limit: int) -> None:
        self.append(Cause("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes"))

    def too_many(self, field: str, seen: int, limit: int) -> None:
        self.append(Cause("FieldValueTooMany", field, f"Too many: {seen}: must have at most {limit} items"))

    def wrong_type(self, field: str, value: Any, detail: str) -> None:
        self.append(Cause("FieldValueTypeInvalid", field, _with_detail(f"Invalid value: {shown(value)}", detail)))

    def invalid_each(self, field: str, value: Any, details: Iterable[str]) -> None:
        """One cause for every detail."""
        for detail in details:
            self.invalid(field, value, detail)

    def one_of(self, field: str, value: Any, supported: Sequence[str], *, is_required: bool = True) -> None:
        """`value` must be one of `supported`; absent is `Required value`, or fine."""
        if value in (None, ""):
            if is_required:
                self.required(field)
        elif value not in supported:
            self.not_supported(field, value, supported)

    def not_negative(self, field: str, value: Any) -> None:
        """Absent or at least 0."""
        if value is not None and value < 0:
            self.invalid(field, value, "must be greater than or equal to 0")

    def unchanged(self, field: str, new: Any, old: Any) -> None:
        """Absent and empty count as equal."""
        if (new or None) != (old or None) and not (new == 0 and old == 0):
            self.invalid(field, new, "field is immutable")


def invalid_message(kind: str, group: str, name: str, causes: Sequence[Cause]) -> str:
    """The message of a 422 Status: `Pod "a" is invalid: spec.x: Required value`; several come in brackets."""
    texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{kind}.{group}" if group else kind
    return f'{qualified} "{name}" is invalid: {joined}'


def shown(value: Any) -> str:
    """A value as upstream repeats it: text quoted, the rest as JSON; cut at `VALUE_LENGTH_MAX`."""
    if value is None:
        return "null"
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}..."


def _with_detail(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text
