"""Quantities such as `500m`, `1.5Gi` and `2e3`, as exact numbers.

In:    a quantity as it stands in JSON: text, or a bare number.
Out:   a `Fraction`, integers rounded up (away from zero), and the canonical text the API server stores.
Spec:  k8s.io/apimachinery/pkg/api/resource: suffixes n u m k M G T P E, Ki..Ei, e<exponent>; nothing finer than nano
       (rounded up), nothing beyond 2^63-1 in size (cut down to it).
"""

import re
from enum import Enum
from fractions import Fraction
from functools import lru_cache

from wherry.kit.errors import Invalid

Quantity = str | int | float | Fraction

_FORMAT_WRONG = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_NUMERIC_WRONG = "unable to parse numeric part of quantity"
_SUFFIX_WRONG = "unable to parse quantity's suffix"
_SHAPE = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {bits: suffix for suffix, bits in _BINARY.items()} | {0: ""}
_LARGEST = Fraction(2**63 - 1)
_NANO = 10**9
_TEXT_LENGTH_MAX = 1024  # a hostile text of a million digits would cost seconds
_EXPONENT_MAX = 400  # beyond it every value is zero-sized or cut to the largest


class _Family(Enum):
    DECIMAL = "decimal"
    BINARY = "binary"
    EXPONENT = "exponent"


def parse(quantity: Quantity) -> Fraction:
    """The exact value. Raises `Invalid` with upstream's text."""
    return quantity if isinstance(quantity, Fraction) else _read(_text(quantity))[0]


def milli(quantity: Quantity) -> int:
    """In thousandths, rounded up: CPU."""
    return _away_from_zero(quantity * 1000) if isinstance(quantity, Fraction) else _milli(_text(quantity))


def value(quantity: Quantity) -> int:
    """In whole units, rounded up: bytes, counts."""
    return _away_from_zero(quantity) if isinstance(quantity, Fraction) else _value(_text(quantity))


def compare(left: Quantity, right: Quantity) -> int:
    """-1, 0 or 1."""
    a, b = parse(left), parse(right)
    return (a > b) - (a < b)


def add(left: Quantity, right: Quantity) -> str:
    """The canonical sum, written in the family of `left`, or of `right` when `left` is zero."""
    return format_like(parse(left) + parse(right), left if parse(left) else right)


def subtract(left: Quantity, right: Quantity) -> str:
    """The canonical difference, written in the family of `left`, or of `right` when `left` is zero."""
    return format_like(parse(left) - parse(right), left if parse(left) else right)


def canonical(quantity: Quantity) -> str:
    """The text the API server stores: `1000m` is `1`, `0.5` is `500m`, `1024Ki` is `1Mi`."""
    return format_like(parse(quantity), quantity)


def format_like(number: Quantity, like: Quantity = "0") -> str:
    """`number` in canonical form, with decimal, binary or exponent suffixes as `like` has them."""
    amount = _bounded(parse(number))
    family = _Family.DECIMAL if isinstance(like, Fraction) else _read(_text(like))[1]
    # Small and fractional binary values lose nothing only when written in decimal.
    if family is _Family.BINARY and abs(amount) >= 1024 and amount.denominator == 1:
        return _binary_text(int(amount))
    return _decimal_text(amount, family)


def _text(quantity: str | int | float) -> str:
    if isinstance(quantity, bool) or not isinstance(quantity, str | int | float):
        raise Invalid(_FORMAT_WRONG)
    return quantity.strip() if isinstance(quantity, str) else repr(quantity)


@lru_cache(maxsize=8192)
def _read(text: str) -> tuple[Fraction, _Family]:
    found = _SHAPE.fullmatch(text) if 0 < len(text) <= _TEXT_LENGTH_MAX else None
    if found is None:
        raise Invalid(_FORMAT_WRONG)
    sign, whole, part, suffix = found.group(1), found.group(2), found.group(3) or "", found.group(4)
    if not whole and not part:
        raise Invalid(_NUMERIC_WRONG)
    factor, family = _factor(suffix)
    amount = Fraction(int(whole + part or "0"), 10 ** len(part)) * factor
    if family is _Family.BINARY and amount < 1:
        family = _Family.DECIMAL
    return _bounded(-amount if sign == "-" else amount), family


def _factor(suffix: str) -> tuple[Fraction, _Family]:
    if suffix in _DECIMAL:
        return Fraction(10) ** _DECIMAL[suffix], _Family.DECIMAL
    if suffix in _BINARY:
        return Fraction(2 ** _BINARY[suffix]), _Family.BINARY
    if re.fullmatch(r"[eE][-+]?[0-9]+", suffix):
        exponent = max(-_EXPONENT_MAX, min(int(suffix[1:]), _EXPONENT_MAX))
        return Fraction(10) ** exponent, _Family.EXPONENT
    raise Invalid(_SUFFIX_WRONG)


def _bounded(amount: Fraction) -> Fraction:
    if _NANO % amount.denominator:
        amount = Fraction(_away_from_zero(amount * _NANO), _NANO)
    return max(-_LARGEST, min(amount, _LARGEST))


def _away_from_zero(amount: Fraction) -> int:
    size = -(-abs(amount.numerator) // amount.denominator)
    return size if amount >= 0 else -size


@lru_cache(maxsize=8192)
def _milli(text: str) -> int:
    return _away_from_zero(_read(text)[0] * 1000)


@lru_cache(maxsize=8192)
def _value(text: str) -> int:
    return _away_from_zero(_read(text)[0])


def _binary_text(amount: int) -> str:
    bits = 0
    while amount % 1024 == 0 and bits < 60:
        amount, bits = amount // 1024, bits + 10
    return f"{amount}{_BINARY_SUFFIX[bits]}"


def _decimal_text(amount: Fraction, family: _Family) -> str:
    if not amount:
        return "0"
    mantissa, exponent = int(amount * _NANO), -9
    while mantissa % 1000 == 0 and exponent < 18:
        mantissa, exponent = mantissa // 1000, exponent + 3
    if family is _Family.EXPONENT:
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"
