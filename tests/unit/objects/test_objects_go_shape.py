"""Objects have the shape a round trip through upstream's Go types gives, held to what those types answered.

`go_shape_golden.json.zst` (by `tools/generate_go_shape.py`) has every built-in kind bare, filled, with explicit empty
values and with nulls.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from wherry.orchestration.objects.decoding import typed
from wherry.orchestration.objects.schema_data import structure_of

GOLDEN = Path(__file__).parent / "go_shape_golden.json.zst"
PAIRS = orjson.loads(zstandard.ZstdDecompressor().decompress(GOLDEN.read_bytes()))


def stored(value: Any, key: str = "") -> Any:
    """Go's answer once it has been stored: protobuf knows no list or bytes of nothing."""
    if isinstance(value, list):
        return [stored(item) for item in value] or None
    if isinstance(value, dict):
        return {name: stored(inner, name) for name, inner in value.items()}
    return None if key in ("request", "stubPKCS10Request") and not value else value


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{p['kind']}-{way}" for p, way in zip(
    PAIRS, ("bare", "filled", "empty", "null") * (len(PAIRS) // 4), strict=True)])
@pytest.mark.slow
def test_a_kind_has_the_shape_of_its_go_type(pair: dict[str, Any]) -> None:
    sent = pair["object"]
    node = structure_of(sent["apiVersion"], sent["kind"])
    assert node is not None
    once = typed(deepcopy(sent), node).obj
    assert once == stored(pair["answered"])
    assert typed(deepcopy(once), node).obj == once
