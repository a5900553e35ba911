"""A key's turns: a burst at once, then one a period, and the burst again after a rest."""

from hypothesis import given
from hypothesis import strategies as st

from wherry.kit import pace
from wherry.kit.pace import Pace


def turns(moments: list[float], *, burst: int = 3, period_s: float = 1.0) -> list[float]:
    """When the key had its turns, asked at `moments`."""
    bucket = Pace(burst, period_s)
    return [now for now in moments if bucket.delay_s("a", now) == 0.0]


def test_a_burst_is_free_and_then_one_a_period() -> None:
    assert turns([0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 2.0]) == [0.0, 0.0, 0.0, 1.0, 2.0]


def test_after_a_rest_the_burst_is_there_again() -> None:
    assert turns([0.0] * 4 + [10.0] * 4) == [0.0] * 3 + [10.0] * 3


def test_keys_do_not_share() -> None:
    bucket = Pace(1, 1.0)
    assert [bucket.delay_s(key, 0.0) for key in "aba"] == [0.0, 0.0, 1.0]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200).map(sorted))
def test_in_no_span_are_there_more_turns_than_burst_and_rate_allow(moments: list[float]) -> None:
    had = turns(moments, burst=5, period_s=0.5)
    for first in range(len(had)):
        for last in range(first, len(had)):
            assert last - first + 1 <= 5 + (had[last] - had[first]) / 0.5 + 1e-6


@given(st.floats(0, 10), st.integers(1, 20))
def test_who_waits_as_told_has_its_turn(began_at: float, count: int) -> None:
    bucket, now = Pace(2, 0.25), began_at
    for _ in range(count):
        now += bucket.delay_s("a", now)
        assert bucket.delay_s("a", now) == 0.0


def test_keys_that_rest_are_forgotten() -> None:
    bucket = Pace(1, 1.0)
    for number in range(pace.KEYS_MAX + 1):
        bucket.delay_s(number, float(number))
    assert len(bucket._full_at) < 10
