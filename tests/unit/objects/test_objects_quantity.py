"""Quantities: exact values, upstream's canonical text and upstream's refusals."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.kit.errors import Invalid
from wherry.orchestration.objects import quantity


@pytest.mark.parametrize(
    ("text", "canonical", "value", "milli"),
    [
        pytest.param("0", "0", 0, 0, id="zero"),
        pytest.param("100m", "100m", 1, 100, id="millis stay"),
        pytest.param("1000m", "1", 1, 1000, id="whole thousands of millis become units"),
        pytest.param("0.5", "500m", 1, 500, id="a fraction becomes millis"),
        pytest.param(".5", "500m", 1, 500, id="no digit before the point"),
        pytest.param("1.", "1", 1, 1000, id="no digit after the point"),
        pytest.param("1Gi", "1Gi", 2**30, 2**30 * 1000, id="binary"),
        pytest.param("1024Ki", "1Mi", 2**20, 2**20 * 1000, id="binary is lifted"),
        pytest.param("0.5Gi", "512Mi", 2**29, 2**29 * 1000, id="binary fraction"),
        pytest.param("1.5Gi", "1536Mi", 3 * 2**29, 3 * 2**29 * 1000, id="binary one and a half"),
        pytest.param("512", "512", 512, 512000, id="plain"),
        pytest.param("0.5Ki", "512", 512, 512000, id="binary under 1024 is plain"),
        pytest.param("1500", "1500", 1500, 1500000, id="not a multiple of a thousand"),
        pytest.param("1000", "1k", 1000, 1000000, id="thousand"),
        pytest.param("1e3", "1e3", 1000, 1000000, id="exponent family stays"),
        pytest.param("12E2", "1200", 1200, 1200000, id="exponent not divisible by three"),
        pytest.param("1E", "1E", 10**18, 10**21, id="exa, not an exponent"),
        pytest.param("-1.5", "-1500m", -2, -1500, id="negative rounds away from zero"),
        pytest.param("+3", "3", 3, 3000, id="plus"),
        pytest.param("1n", "1n", 1, 1, id="nano"),
        pytest.param("0.1n", "1n", 1, 1, id="finer than nano rounds up"),
        pytest.param("99999999999999999999", "9223372036854775807", 2**63 - 1, (2**63 - 1) * 1000, id="cut to int64"),
        pytest.param(2, "2", 2, 2000, id="a JSON integer"),
        pytest.param(0.1, "100m", 1, 100, id="a JSON number"),
        pytest.param("128974848", "128974848", 128974848, 128974848000, id="documentation 1"),
        pytest.param("129e6", "129e6", 129000000, 129000000000, id="documentation 2"),
        pytest.param("123Mi", "123Mi", 128974848, 128974848000, id="documentation 3"),
    ],
)
def test_a_quantity_reads_and_writes_as_upstream(text: str | float, canonical: str, value: int, milli: int) -> None:
    assert quantity.canonical(text) == canonical
    assert quantity.value(text) == value
    assert quantity.milli(text) == milli


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "quantities must match", id="empty"),
        pytest.param("aoeu", "quantities must match", id="no number"),
        pytest.param("1.1.M", "quantities must match", id="two points"),
        pytest.param("1+1.0M", "quantities must match", id="sign inside"),
        pytest.param("1 Gi", "quantities must match", id="space inside"),
        pytest.param("1K", "unable to parse quantity's suffix", id="capital K"),
        pytest.param("1i", "unable to parse quantity's suffix", id="lone i"),
        pytest.param("0.1mi", "unable to parse quantity's suffix", id="mi"),
        pytest.param("3e", "unable to parse quantity's suffix", id="e without digits"),
        pytest.param(".", "unable to parse numeric part", id="only a point"),
        pytest.param(True, "quantities must match", id="boolean"),
        pytest.param(None, "quantities must match", id="null"),
        pytest.param("9" * 100_000, "quantities must match", id="hostile length"),
    ],
)
def test_a_bad_quantity_is_refused_with_upstreams_text(text: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        quantity.parse(text)


def test_a_hostile_exponent_costs_nothing() -> None:
    assert quantity.value("1e999999999") == 2**63 - 1
    assert quantity.value("1e-999999999") == 1


def test_sum_keeps_the_family_of_the_first_unless_it_is_zero() -> None:
    assert quantity.add("1Gi", "512Mi") == "1536Mi"
    assert quantity.add("0", "512Mi") == "512Mi"
    assert quantity.add("100m", "900m") == "1"
    assert quantity.subtract("1", "100m") == "900m"
    assert quantity.compare("1Gi", "1G") == 1
    assert quantity.compare("1000m", "1") == 0


nanos = st.integers(-(10**26), 10**26).map(lambda n: Fraction(n, 10**9))


@given(nanos, st.sampled_from(["1", "1Ki", "1e3"]))
def test_canonical_text_reads_back_as_the_same_value(number: Fraction, like: str) -> None:
    number = max(-Fraction(2**63 - 1), min(number, Fraction(2**63 - 1)))
    text = quantity.format_like(number, like)
    assert quantity.parse(text) == number
    assert quantity.canonical(text) == text or like != "1"  # 25000 is no multiple of 1024, and 25k when read again


@given(nanos, nanos)
def test_order_of_quantities_is_the_order_of_numbers(left: Fraction, right: Fraction) -> None:
    assert quantity.compare(left, right) == (left > right) - (left < right)
