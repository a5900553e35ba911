"""Delays by dates that somebody wrote, while dates may be set."""

from datetime import timedelta

import pytest

from wherry.kit.clock import SET_BACK_S, left_s
from wherry.testing.virtual_time import EPOCH


@pytest.mark.parametrize(("passed_s", "left"), [
    pytest.param(0, 300, id="it begins"),
    pytest.param(100, 200, id="some of it has passed"),
    pytest.param(301, 0, id="it is over"),
    pytest.param(-30, 330, id="another machine's clock is ahead"),
    pytest.param(-SET_BACK_S - 1, 0, id="the date was set back"),
    pytest.param(-7200, 0, id="the date was set back by hours"),
])
def test_what_is_left_of_a_delay(passed_s: float, left: float) -> None:
    assert left_s(EPOCH, 300, EPOCH + timedelta(seconds=passed_s)) == left
