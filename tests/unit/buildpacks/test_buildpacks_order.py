"""Orders become groups: composites expand depth first, ids appear once."""

from pathlib import Path

import pytest

from wherry.buildpacks.lifecycle import order
from wherry.buildpacks.lifecycle.descriptor import Buildpack, Order, Packs, Reference
from wherry.kit.errors import Invalid, NotFound


def refs(text: str) -> tuple[Reference, ...]:
    return tuple(Reference(word.rstrip("?"), is_optional=word.endswith("?")) for word in text.split())


def pack(name: str, *groups: str) -> Buildpack:
    return Buildpack(name, "1", (0, 12), Path("/x"), "/x", order=tuple(refs(group) for group in groups))


PACKS = Packs([
    *(pack(name) for name in "abcd"), pack("ab-or-c", "a b", "c"), pack("nested", "ab-or-c d"), pack("loop", "loop"),
])  # fmt: skip


def groups(wanted: Order) -> list[str]:
    return [" ".join(m.pack.id + "?" * m.is_optional for m in group) for group in order.expand(wanted, PACKS)]


@pytest.mark.parametrize(("wanted", "found"), [
    pytest.param(["a b"], ["a b"], id="plain group"),
    pytest.param(["a", "b"], ["a", "b"], id="two groups"),
    pytest.param(["a b?"], ["a b?"], id="optional stays for the plan to decide"),
    pytest.param(["ab-or-c"], ["a b", "c"], id="composite is its groups"),
    pytest.param(["ab-or-c d"], ["a b d", "c d"], id="what follows a composite follows each group"),
    pytest.param(["d ab-or-c?"], ["d a b", "d c", "d"], id="optional composite may be left out"),
    pytest.param(["nested"], ["a b d", "c d"], id="composite in composite"),
    pytest.param(["a ab-or-c"], ["a b", "a c"], id="an id that is there is not added again"),
])  # fmt: skip
def test_order_expands_to_groups(wanted: list[str], found: list[str]) -> None:
    assert groups(tuple(refs(group) for group in wanted)) == found


def test_composite_that_contains_itself_is_refused() -> None:
    with pytest.raises(Invalid, match="contain itself"):
        groups((refs("loop"),))


def test_unknown_id_names_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"'nope'.*a@1, ab-or-c@1"):
        groups((refs("nope"),))
