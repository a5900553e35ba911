"""The fewest writes that make slices right: pure, with Hypothesis."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from wherry.orchestration.controllers.backends.slices import SlicePlan, Template, Wanted, plan
from wherry.orchestration.objects.meta import Object, name_of

NAMES = count()
PORTS = [{"name": "", "port": 80, "protocol": "TCP"}]
OTHER = [{"name": "", "port": 81, "protocol": "TCP"}]
TEMPLATE = Template("default", "web-", "IPv4", {"a": "b"}, {}, {"uid": "u"}, endpoints_max=5)


def endpoint(number: int) -> Object:
    return {"addresses": [f"10.0.{number // 250}.{number % 250}"], "conditions": {"ready": True}}


def wanted(*groups: tuple[list[Object], list[int]]) -> Wanted:
    found = Wanted()
    for ports, numbers in groups:
        for number in numbers:
            found.add(ports, endpoint(number))
    return found


def carried_out(slices: list[Object], made: SlicePlan) -> list[Object]:
    """What the server would hold afterwards."""
    left = {name_of(s): s for s in slices}
    for doomed in made.delete:
        del left[name_of(doomed)]
    for changed in made.update:
        assert name_of(changed) in left
        left[name_of(changed)] = changed
    for new in made.create:
        name = f"web-{next(NAMES)}"
        left[name] = {**new, "metadata": {**new["metadata"], "name": name}}
    return list(left.values())


def addresses(slices: list[Object]) -> list[str]:
    return sorted(a for s in slices for e in s["endpoints"] for a in e["addresses"])


numbers = st.lists(st.integers(0, 60), unique=True, max_size=40)


@given(st.lists(st.tuples(numbers, numbers), max_size=6))
def test_any_history_ends_right_and_a_second_look_writes_nothing(history):
    slices: list[Object] = []
    for first, second in history:
        both = wanted((PORTS, first), (OTHER, [n for n in second if n not in first]))
        slices = carried_out(slices, plan(slices, both, TEMPLATE, keep_one=True))
        expected = sorted({a for _, group in both.groups.values() for e in group.values() for a in e["addresses"]})
        assert addresses(slices) == expected
        assert all(len(s["endpoints"]) <= 5 for s in slices)
        assert slices, "one slice stays, empty or not"
        again = plan(slices, both, TEMPLATE, keep_one=True)
        assert not (again.create or again.update or again.delete)


def test_one_more_endpoint_is_one_write():
    slices = carried_out([], plan([], wanted((PORTS, list(range(8)))), TEMPLATE, keep_one=True))
    made = plan(slices, wanted((PORTS, list(range(9)))), TEMPLATE, keep_one=True)
    assert (len(made.create), len(made.update), len(made.delete)) == (0, 1, 0)


def test_first_endpoint_takes_over_the_empty_slice():
    slices = carried_out([], plan([], Wanted(), TEMPLATE, keep_one=True))
    made = plan(slices, wanted((PORTS, [1])), TEMPLATE, keep_one=True)
    assert (len(made.create), len(made.update), len(made.delete)) == (0, 1, 0)
    assert made.update[0]["ports"] == PORTS


def test_foreign_labels_are_put_right():
    slices = carried_out([], plan([], wanted((PORTS, [1])), TEMPLATE, keep_one=True))
    slices[0]["metadata"]["labels"] = {}
    made = plan(slices, wanted((PORTS, [1])), TEMPLATE, keep_one=True)
    assert [s["metadata"]["labels"] for s in made.update] == [{"a": "b"}]
