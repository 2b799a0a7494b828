"""What extractors may return, and what is refused with a clear text."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest

from rate_limited.calls import Call
from rate_limited.resources import Resource
from rate_limited.usage import (
    AMOUNT_MAX,
    amount,
    arguments_usage,
    results_usage,
    results_usage_max,
)


class Half:
    def __float__(self):
        return 0.5


class Raises:
    def __float__(self):
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0.0),
        (3, 3.0),
        (2.5, 2.5),
        (True, 1.0),
        (False, 0.0),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 4), 0.25),
        (Half(), 0.5),
        (AMOUNT_MAX, float(AMOUNT_MAX)),
        (1e-300, 1e-300),
    ],
)
def test_numbers(value, expected):
    found = amount(value, "tokens")
    assert found == expected
    assert type(found) is float


@pytest.mark.parametrize("zero", [-0.0, Decimal("-0")])
def test_negative_zero_is_zero(zero):
    assert math.copysign(1, amount(zero, "tokens")) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None (NoneType)"),
        ("12", "'12' (str)"),
        (1j, "1j (complex)"),
        ([1], "[1] (list)"),
        (float("nan"), "not NaN"),
        (Decimal("NaN"), "not NaN"),
        (Decimal("sNaN"), "must return a number"),
        (-1, "is -1: an extractor must return 0 or more"),
        (-1e-9, "0 or more"),
        (Decimal("-0.5"), "0 or more"),
        (float("-inf"), "0 or more"),
        (float("inf"), "exceeds resource quota"),
        (2**63, "exceeds resource quota"),
        (10**400, "exceeds resource quota"),
        (-(10**400), "0 or more"),
        (Fraction(10**400, 1), "exceeds resource quota"),
        (Raises(), "a value of type Raises"),
    ],
)
def test_refused(value, text):
    with pytest.raises(ValueError) as caught:
        amount(value, "tokens")
    assert "usage of resource 'tokens'" in str(caught.value)
    assert text in str(caught.value)
    assert len(str(caught.value)) < 220


def test_a_long_value_is_cut():
    with pytest.raises(ValueError) as caught:
        amount("x\n" * 10_000_000, "tokens")
    assert len(str(caught.value)) < 220
    assert "\n" not in str(caught.value)


def test_numpy():
    numpy = pytest.importorskip("numpy")
    kinds = [
        numpy.int8,
        numpy.uint64,
        numpy.float16,
        numpy.float32,
        numpy.float64,
        numpy.longdouble,
    ]
    for kind in kinds:
        assert amount(kind(3), "tokens") == 3.0
    assert amount(numpy.True_, "tokens") == 1.0
    for wrong in (numpy.float32("nan"), numpy.complex64(1), numpy.array([1, 2]), numpy.int8(-1)):
        with pytest.raises(ValueError, match="'tokens'"):
            amount(wrong, "tokens")


def test_usage_of_a_call():
    call = Call(print, ("four",), {})
    counted = Resource(
        "characters",
        100,
        60,
        lambda call: Decimal(1),
        lambda call, result: len(result),
        lambda call: 9,
    )
    assert arguments_usage(counted, call) == 1.0
    assert results_usage_max(counted, call) == 9.0
    assert results_usage(counted, call, "12345") == 5.0
    nothing = Resource("nothing", 100, 60)
    assert arguments_usage(nothing, call) == results_usage_max(nothing, call) == 0.0
    assert results_usage(nothing, call, None) == 0.0


def test_what_an_extractor_raises_passes_through():
    def extractor(call):
        raise KeyError("usage")

    with pytest.raises(KeyError, match="usage"):
        arguments_usage(Resource("tokens", 1, 1, extractor), Call(print))
