"""What Go writes as null is in the objects, and nothing that reads them takes it for a value."""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.defaulting import apply_defaults
from wherry.orchestration.objects.kinds import BUILTIN
from wherry.orchestration.objects.meta import Object, with_condition
from wherry.orchestration.objects.schema_data import definition, structure_of
from wherry.orchestration.objects.structure import Node
from wherry.orchestration.objects.validation import Cause, validate

GOLDEN = Path(__file__).parent / "go_shape_golden.json.zst"
FILLED = {
    pair["kind"]: pair["object"] for pair in orjson.loads(zstandard.ZstdDecompressor().decompress(GOLDEN.read_bytes()))
    if len(pair["object"]) > 2 and pair["object"].get("metadata", {}).get("name") == "text"
}


def nullable(value: Any, node: Node | None, seen: set[tuple[str, str]]) -> Iterator[tuple[Object, str]]:
    """The places in `value` that Go may write null to, one for each field of a type."""
    if node is None:
        return
    if isinstance(value, list):
        for item in value:
            yield from nullable(item, node.item, seen)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if node.zeros.get(key, False) is None and (node.type_name, key) not in seen:
                seen.add((node.type_name, key))
                if len(value) > 1:  # a struct of nothing else would be a struct of nothing
                    yield value, key
            yield from nullable(inner, node.fields.get(key) or node.item, seen)


def fields(causes: list[Cause]) -> list[tuple[str, str]]:
    return [(cause.reason, cause.field) for cause in causes]


def without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


@pytest.mark.parametrize("resource", [r for r in BUILTIN if f"{r.api_version}/{r.kind}" in FILLED], ids=lambda r: r.kind)
@pytest.mark.slow
def test_a_null_is_defaulted_and_validated_as_what_is_not_there(resource: Any) -> None:
    sent = FILLED[f"{resource.api_version}/{resource.kind}"]
    node = structure_of(resource.api_version, resource.kind)
    assert node is not None
    obj = typed(deepcopy(sent), node).obj
    for place, key in nullable(obj, node, set()):
        held, place[key] = place[key], None
        given, plain = deepcopy(obj), without_nulls(obj)
        defaulted, same = apply_defaults(resource, given), apply_defaults(resource, plain)
        assert without_nulls(defaulted) == without_nulls(same), key
        assert fields(validate(resource, defaulted)) == fields(validate(resource, same)), key
        assert fields(validate(resource, defaulted, deepcopy(defaulted))) == fields(validate(resource, same, deepcopy(same))), key
        place[key] = held


def test_a_condition_set_again_is_what_the_api_has_of_it() -> None:
    """Else whoever compares before writing writes for ever, or after the condition has been taken away."""
    now = datetime(2026, 1, 2, tzinfo=UTC)
    condition = {"type": "Resizing", "status": "True"}
    held = typed({"conditions": with_condition(None, condition, now)}, definition("io.k8s.api.core.v1.PersistentVolumeClaimStatus")).obj
    assert held["conditions"][0]["lastProbeTime"] is None
    assert with_condition(held["conditions"], condition, now) == held["conditions"]
