"""Build plan resolution: pure, by the rules of a trial."""

from pathlib import Path

import pytest

from wherry.buildpacks.lifecycle import plan
from wherry.buildpacks.lifecycle.descriptor import Buildpack
from wherry.buildpacks.lifecycle.order import Member
from wherry.buildpacks.lifecycle.plan import Alternative, Candidate, Require, Unresolved
from wherry.kit.errors import Invalid


def pack(name: str) -> Buildpack:
    return Buildpack(name, "1", (0, 12), Path("/x"), "/x")


def one(name: str, *alternatives: tuple[str, str], optional: bool = False) -> Candidate:
    """A candidate by (provides, requires), each names separated by spaces."""
    made = tuple(Alternative(tuple(p.split()), tuple(Require(r) for r in q.split())) for p, q in alternatives)
    return Candidate(Member(pack(name), optional), made or (Alternative(),))


@pytest.mark.parametrize(("candidates", "group", "entries"), [
    pytest.param([one("a")], "a", {}, id="nothing provided, nothing required"),
    pytest.param([one("a", ("x", "x"))], "a", {"x": "a"}, id="own provide meets own require"),
    pytest.param([one("a", ("x", "")), one("b", ("", "x"))], "a b", {"x": "a"}, id="earlier provides, later requires"),
    pytest.param([one("a", ("x", "")), one("b", ("x", "")), one("c", ("", "x"))], "a b c", {"x": "a b"}, id="two providers"),
    pytest.param([one("a", ("x", ""), optional=True), one("b")], "b", {}, id="optional with unused provide is dropped"),
    pytest.param([one("a", ("", "x"), optional=True), one("b")], "b", {}, id="optional with unmet require is dropped"),
    pytest.param([one("a", ("x", ""), ("", "")), one("b")], "a b", {}, id="second alternative works"),
    pytest.param([one("a", ("x", "")), one("b", ("", "y"), ("", "x"))], "a b", {"x": "a"}, id="second alternative of the later one"),
    pytest.param([one("a", ("x", ""), ("", ""), optional=True), one("b")], "a b", {}, id="optional only in its last alternative"),
])  # fmt: skip
def test_first_working_combination_is_the_plan(candidates: list[Candidate], group: str, entries: dict[str, str]) -> None:
    found = plan.resolve(tuple(candidates))
    assert [one.id for one in found.group] == group.split()
    assert {entry.name: " ".join(p.id for p in entry.providers) for entry in found.entries} == entries


@pytest.mark.parametrize(("candidates", "message"), [
    pytest.param([one("a", ("x", ""))], "a@1 provides unused x", id="unused provide"),
    pytest.param([one("a", ("", "x"))], "a@1 requires x", id="unmet require"),
    pytest.param([one("a", ("", "x")), one("b", ("x", ""))], "a@1 requires x", id="provided only later"),
    pytest.param([one("a", ("", "x"), optional=True)], "no viable buildpacks in group", id="only optional ones, all dropped"),
])  # fmt: skip
def test_what_cannot_work_says_why(candidates: list[Candidate], message: str) -> None:
    with pytest.raises(Unresolved, match=message):
        plan.resolve(tuple(candidates))


def test_provider_that_meets_an_entry_takes_it_from_the_plan() -> None:
    found = plan.resolve((one("a", ("x", "")), one("b", ("x", "")), one("c", ("", "x"))))
    assert plan.after(found.entries, pack("a"), frozenset()) == ()
    left = plan.after(found.entries, pack("a"), frozenset({"x"}))
    assert [p.id for p in left[0].providers] == ["b"]


def test_version_at_the_top_of_a_require_is_refused() -> None:
    with pytest.raises(Invalid, match="metadata.version"):
        plan.alternatives({"requires": [{"name": "x", "version": "1"}]})


def test_too_many_combinations_end() -> None:
    many = tuple(one(f"p{i}", *[("", f"missing{j}") for j in range(4)]) for i in range(12))
    with pytest.raises(Unresolved, match="trials"):
        plan.resolve(many)
