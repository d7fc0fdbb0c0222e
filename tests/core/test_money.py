"""Money: exact in JSON, rounded once for people, and unknown is not zero."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import money


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, None),
        (Decimal(0), "0"),
        (Decimal("0E-18"), "0"),
        (Decimal("0.00042"), "0.00042"),
        (Decimal("4.2E-12"), "0.0000000000042"),
        (Decimal("1E+3"), "1000"),
        (Decimal("12.500000"), "12.5"),
        (Decimal("100"), "100"),
        (Decimal("-0.10"), "-0.1"),
    ],
)
def test_json_carries_the_exact_amount_as_plain_text(amount: Decimal | None, text: str | None) -> None:
    assert money.as_json(amount) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=24, min_value=-(10**6), max_value=10**6))
def test_json_loses_no_digit(amount: Decimal) -> None:
    text = money.as_json(amount)

    assert text is not None
    assert Decimal(text) == amount
    assert "E" not in text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "–"),
        (Decimal(0), "$0.00"),
        (Decimal("0.00042"), "$0.00042"),
        (Decimal("0.000000000123456"), "$0.000000000123"),
        (Decimal("0.1"), "$0.100"),
        (Decimal("1.005"), "$1.00"),
        (Decimal("1.015"), "$1.02"),
        (Decimal("9999.999"), "$10,000.00"),
        (Decimal("12345.67"), "$12,346"),
        (Decimal("-3.2"), "−$3.20"),
    ],
)
def test_people_see_a_rounded_amount(amount: Decimal | None, text: str) -> None:
    assert money.display(amount) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=Decimal("1E-12"), max_value=1))
def test_a_small_cost_is_never_shown_as_zero(amount: Decimal) -> None:
    assert money.display(amount).strip("$0.")


def test_tokens_times_a_price_shifted_by_six_places_is_exact() -> None:
    with localcontext(Context(prec=60, traps=[Inexact])) as context:
        cost = (Decimal("0.050000000000000004") * 123_456_789).scaleb(money.PER_MILLION, context)

    assert cost == Decimal("0.000000050000000000000004") * 123_456_789
