"""The arithmetic of costs: a table of cases, and what must hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.providers.pricing import Note, Usage, cost_of
from apps.providers.rates import PLACES, RatesError, rates_from_json

PLAIN = {"input": "2.5", "output": "10"}
CACHED = {**PLAIN, "cached_read": "1.25", "cache_write": "3.125", "cache_write_1h": "5"}
REASONING = {**PLAIN, "reasoning": "40"}
TIERED = {
    **CACHED,
    "tiers": [
        {"above": 128_000, "input": "4", "output": "12", "cached_read": "2"},
        {"above": 200_000, "input": "5"},
    ],
}
PLANNED = {
    **CACHED,
    "plans": {
        "batch": {"input": "1.25", "output": "5"},
        "priority": {"input": "4", "output": "16", "cached_read": "2"},
    },
}
AUDIO = {**PLAIN, "input_audio": "40", "output_audio": "80"}
EMBEDDING = {"input": "0.02"}
FREE = {"input": "0", "output": "0"}
BY_REQUEST = {"input": "0", "output": "2.8", "per_request": "0.005"}


def usd(rates: dict[str, Any], usage: Usage, **kwargs: Any) -> str | None:
    """The cost as text, without idle zeros; None when it is unknown."""
    cost = cost_of(usage, rates_from_json(rates), **kwargs)
    return None if cost is None else f"{cost.usd.normalize():f}"


@pytest.mark.parametrize(
    ("rates", "usage", "cost"),
    [
        pytest.param(PLAIN, Usage(1000, 500), "0.0075", id="input and output"),
        pytest.param(PLAIN, Usage(0, 0), "0", id="no tokens cost nothing"),
        pytest.param(CACHED, Usage(1000, 500, 400), "0.007", id="cached tokens are not charged twice"),
        pytest.param(
            CACHED, Usage(1000, 500, 400, 200), "0.007125", id="tokens read and written are part of the input"
        ),
        pytest.param(CACHED, Usage(1000, 0, 0, 200, 50), "0.00271875", id="an hour's writes have their own price"),
        pytest.param(CACHED, Usage(1000, 0, 1000), "0.00125", id="all cached"),
        pytest.param(PLAIN, Usage(1000, 500, 400, 200), "0.0075", id="without cached prices all is plain input"),
        pytest.param({**PLAIN, "cached_read": "0"}, Usage(1000, 0, 400), "0.0015", id="a cached price of 0 is a price"),
        pytest.param(
            {**PLAIN, "cache_write": "3"}, Usage(1000, 0, 0, 100, 100), "0.00255", id="no price for an hour's writes"
        ),
        pytest.param(REASONING, Usage(0, 500, reasoning_tokens=400), "0.017", id="reasoning is part of the output"),
        pytest.param(PLAIN, Usage(0, 500, reasoning_tokens=400), "0.005", id="reasoning without its own price"),
        pytest.param(AUDIO, Usage(1000, 500, None, None, None, None, 100, 50), "0.01475", id="audio"),
        pytest.param(PLAIN, Usage(1000, 500, input_audio_tokens=100), "0.0075", id="audio without its own price"),
        pytest.param(TIERED, Usage(128_000, 10), "0.3201", id="the line itself is below the tier"),
        pytest.param(TIERED, Usage(128_001, 10), "0.512124", id="a tier is for all tokens of the call"),
        pytest.param(TIERED, Usage(128_001, 10, 128_000), "0.256124", id="cached tokens count for the tier"),
        pytest.param(TIERED, Usage(200_001, 10), "1.000105", id="what a tier does not name costs as at the base"),
        pytest.param(EMBEDDING, Usage(1000), "0.00002", id="a model that only reads"),
        pytest.param({**EMBEDDING, "output": "0"}, Usage(1000), "0.00002", id="free output need not be counted"),
        pytest.param(FREE, Usage(), "0", id="a free model is free without counts"),
        pytest.param(BY_REQUEST, Usage(100, 1000), "0.0078", id="a price by request"),
        pytest.param(BY_REQUEST, Usage(None, 1000), "0.0078", id="free input need not be counted"),
        pytest.param({}, Usage(1000, 500), None, id="no price"),
        pytest.param({"output": "10"}, Usage(0, 500), None, id="output alone is no price"),
        pytest.param(EMBEDDING, Usage(1000, 1), None, id="output without a price"),
        pytest.param(PLAIN, Usage(None, 500), None, id="unknown input"),
        pytest.param(PLAIN, Usage(500, None), None, id="unknown output"),
        pytest.param(PLAIN, Usage(), None, id="nothing known"),
        pytest.param({**TIERED, "input": "0"}, Usage(None, 0), None, id="the tier is unknown"),
    ],
)
def test_costs_what_the_price_list_says(rates: dict[str, Any], usage: Usage, cost: str | None) -> None:
    assert usd(rates, usage) == cost


@pytest.mark.parametrize(
    ("usage", "cost", "note"),
    [
        (Usage(100, 0, 400), "0.0005", Note.CACHED_EXCEEDS_INPUT),
        (Usage(100, 0, 80, 80), "0.00035", Note.CACHED_EXCEEDS_INPUT),
        (Usage(0, 100, reasoning_tokens=400), "0.004", Note.REASONING_EXCEEDS_OUTPUT),
    ],
)
def test_inconsistent_counts_never_make_a_negative_charge_and_are_noted(usage: Usage, cost: str, note: Note) -> None:
    found = cost_of(usage, rates_from_json(CACHED))

    assert found is not None
    assert found.usd == Decimal(cost)
    assert found.notes == (note,)


@pytest.mark.parametrize(
    ("kwargs", "cost", "notes"),
    [
        ({}, "0.007", ()),
        ({"service_tier": "default"}, "0.007", ()),
        ({"service_tier": "auto"}, "0.007", ()),
        ({"batch": True}, "0.00375", ()),
        ({"service_tier": "batch"}, "0.00375", ()),
        ({"service_tier": "priority"}, "0.0112", ()),
        ({"service_tier": "Fast"}, "0.0112", ()),
        ({"service_tier": "flex"}, "0.007", (Note.STANDARD_PRICE_USED,)),
        ({"service_tier": "ultrafast"}, None, ()),
    ],
)
def test_a_plan_has_its_own_prices(kwargs: dict[str, Any], cost: str | None, notes: tuple[Note, ...]) -> None:
    """A discount the list does not know is charged as standard and noted; a surcharge it does not know is
    unknown."""
    found = cost_of(Usage(1000, 500, 400), rates_from_json(PLANNED), **kwargs)

    assert (None if found is None else found.usd) == (None if cost is None else Decimal(cost))
    assert found is None or found.notes == notes


def test_above_a_line_that_only_the_standard_plan_has_a_discount_is_not_trusted() -> None:
    rates = rates_from_json({**PLANNED, "tiers": [{"above": 200_000, "input": "5", "output": "15"}]})

    short = cost_of(Usage(200_000, 0), rates, batch=True)
    long = cost_of(Usage(200_001, 0), rates, batch=True)

    assert short is not None
    assert (short.usd, short.notes) == (Decimal("0.25"), ())
    assert long is not None
    assert (long.usd, long.notes) == (Decimal("1.000005"), (Note.STANDARD_PRICE_USED,))
    assert cost_of(Usage(200_001, 0), rates, service_tier="priority") is None


def test_a_cost_says_what_it_is_made_of() -> None:
    cost = cost_of(Usage(1000, 500, 400), rates_from_json({**CACHED, "per_request": "0.01"}))

    assert cost is not None
    assert [(charge.kind, charge.tokens, str(charge.per_million_usd)) for charge in cost.charges] == [
        ("input", 600, "2.5"),
        ("cached_read", 400, "1.25"),
        ("output", 500, "10"),
    ]
    assert cost.per_request_usd == Decimal("0.01")


COUNTS = st.one_of(st.none(), st.integers(0, 2**63))
PRICES = st.decimals(0, 9_999_999, places=PLACES, allow_nan=False, allow_infinity=False).map(lambda price: f"{price:f}")


@given(
    usage=st.builds(Usage, *[COUNTS] * 8),
    rates=st.fixed_dictionaries(
        {"input": PRICES}, optional=dict.fromkeys(["output", "cached_read", "cache_write", "reasoning"], PRICES)
    ),
)
def test_a_cost_is_exact_and_the_sum_of_its_charges(usage: Usage, rates: dict[str, str]) -> None:
    with localcontext() as context:
        context.traps[Inexact] = True
        cost = cost_of(usage, rates_from_json(rates))

    if cost is not None:
        exact = sum(Fraction(charge.per_million_usd) * charge.tokens / 10**6 for charge in cost.charges)
        assert Fraction(cost.usd) == exact
        assert cost.usd >= 0


@given(
    total=st.integers(0, 10**6),
    cached=st.integers(0, 10**6),
    written=st.integers(0, 10**6),
    reasoning=st.integers(0, 10**6),
)
def test_every_token_is_charged_once(total: int, cached: int, written: int, reasoning: int) -> None:
    total, output = total + cached + written, reasoning + 7

    cost = cost_of(
        Usage(total, output, cached, written, None, reasoning), rates_from_json({**CACHED, "reasoning": "3"})
    )

    assert cost is not None
    assert sum(charge.tokens for charge in cost.charges) == total + output


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"input": 2.5},
        {"input": "2.5 "},
        {"input": "-1"},
        {"input": "1e3"},
        {"input": "NaN"},
        {"input": "٣"},
        {"input": "0." + "1" * (PLACES + 1)},
        {"input": "10000000"},
        {"inptu": "2.5"},
        {"input": "1", "tiers": [{"above": 0, "input": "2"}]},
        {"input": "1", "tiers": [{"above": 10, "input": "2"}, {"above": 10, "input": "3"}]},
        {"input": "1", "tiers": [{"above": "10", "input": "2"}]},
        {"input": "1", "tiers": [{"input": "2"}]},
        {"input": "1", "tiers": 5},
        {"input": "1", "plans": {"cheap": {"input": "1"}}},
        {"input": "1", "plans": []},
        {"input": "1", "off_peak": {"windows": [{"start": 1440, "end": 0}]}},
        {"input": "1", "off_peak": {"windows": [{"start": 0, "end": 60, "weekdays": [0]}]}},
        {"input": "1", "off_peak": {"windows": [{"start": 0, "end": 60, "timezone": "Mars/Base"}]}},
        {"input": "1", "off_peak": {"windows": [{"start": 0, "end": 60, "timezone": 5}]}},
        {"input": "1", "off_peak": {"windows": [{"start": 0, "end": 60, "timezone": "Asia"}]}},
        {"input": "1", "off_peak": {"windows": [{"start": 0, "end": 60, "weekdays": [[1]]}]}},
        {"input": "1", "off_peak": {"windows": [{"start": 0, "end": 60, "weekdays": 5}]}},
        {"input": "1", "off_peak": {"windows": [{}]}},
        {"input": "1", "off_peak": {"windows": 5}},
        {"input": "1", "tiers": [{"above": above, "input": "2"} for above in range(1, 52)]},
    ],
)
def test_refuses_a_price_list_that_breaks_a_rule(data: object) -> None:
    with pytest.raises(RatesError):
        rates_from_json(data)


OFF_PEAK = {
    **PLAIN,
    "cached_read": "1",
    "off_peak": {
        "input": "1",
        "output": "4",
        "windows": [
            {"start": 23 * 60, "end": 60, "weekdays": [1, 2, 3, 4, 5]},
            {"start": 0, "end": 0, "weekdays": [6, 7], "timezone": "Asia/Shanghai"},
        ],
    },
}


@pytest.mark.parametrize(
    ("moment", "cost"),
    [
        (datetime(2026, 11, 23, 22, 59, tzinfo=UTC), "3.5"),  # a Monday
        (datetime(2026, 11, 23, 23, 0, tzinfo=UTC), "2"),
        (datetime(2026, 11, 24, 0, 59, tzinfo=UTC), "2"),
        (datetime(2026, 11, 24, 1, 0, tzinfo=UTC), "3.5"),
        (datetime(2026, 11, 27, 16, 0, tzinfo=UTC), "2"),  # Friday in UTC, Saturday in Shanghai
        (datetime(2026, 11, 27, 15, 0, tzinfo=UTC), "3.5"),
    ],
)
def test_off_peak_prices_hold_in_their_hours(moment: datetime, cost: str) -> None:
    found = cost_of(Usage(2_000_000, 0, 1_000_000), rates_from_json(OFF_PEAK).at(moment))

    assert found is not None
    assert found.usd == Decimal(cost)
