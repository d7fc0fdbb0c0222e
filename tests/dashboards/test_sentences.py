"""The sentences, word by word."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from apps.core.histogram import LogHistogram
from apps.core.periods import CUSTOM, RANGES, Period
from apps.dashboards import sentences
from apps.dashboards.verdict import Pair, Side, judge

END = datetime(2026, 3, 4, 12, tzinfo=UTC)
S = "\u00a0"  # between a number and its unit


def a_period(key: str = "24h") -> Period:
    return Period(key, END - RANGES.get(key, timedelta(hours=5)), END)


def a_side(calls: int, errors: int = 0, cost: str = "0", unpriced: int = 0, ms: int = 1000) -> Side:
    values = np.full(calls, ms, dtype=np.int64)
    return Side(
        calls, errors, unpriced, Decimal(cost), LogHistogram.of_values(np.zeros(calls, dtype=np.int64), values, 1)
    )


def said(now: Side, before: Side, *features: Pair, key: str = "24h") -> tuple[str, str]:
    verdict = judge(Pair(None, now, before), features)
    return sentences.answer(verdict, a_period(key)), sentences.basis(verdict)


@pytest.mark.parametrize(
    ("now", "before", "answer", "basis"),
    [
        (a_side(0), a_side(0), "No calls in the last 24 hours.", ""),
        (a_side(0), a_side(1204), "No calls in the last 24 hours, after 1,204 in the 24 hours before.", ""),
        (a_side(1), a_side(0), "1 call in the last 24 hours, too few to judge.", ""),
        (a_side(19), a_side(900), "19 calls in the last 24 hours, too few to judge.", ""),
        (a_side(1204), a_side(0), "1,204 calls in the last 24 hours, and none before to compare with.", ""),
        (
            a_side(1204, 5),
            a_side(1180, 4),
            "Nothing unusual in the last 24 hours.",
            f"1,204 calls, 0.42{S}% failed; before, 1,180 and 0.34{S}%.",
        ),
        (
            a_side(1122, 46),
            a_side(3201, 13),
            f"Errors rose to 4.1{S}%.",
            f"46 of 1,122 calls failed; before, 0.41{S}% of 3,201.",
        ),
        (
            a_side(1000, cost="142"),
            a_side(1000, cost="100"),
            f"Spend is up 42{S}% on the 24 hours before; errors are steady.",
            "$142.00 for 1,000 calls, against $100.00 for 1,000.",
        ),
        (
            a_side(1000, cost="58"),
            a_side(1000, cost="100"),
            f"Spend is down 42{S}% on the 24 hours before; errors are steady.",
            "$58.00 for 1,000 calls, against $100.00 for 1,000.",
        ),
        (
            a_side(99, cost="900"),
            a_side(99, cost="100"),
            f"Spend is up 800{S}% on the 24 hours before.",
            "$900.00 for 99 calls, against $100.00 for 99.",
        ),
        (
            a_side(1000, ms=190),
            a_side(1000, ms=120),
            f"Latency rose to 190{S}ms at P95.",
            f"P95 was 120{S}ms before. 1,000 calls against 1,000.",
        ),
        (
            a_side(1000, 60, cost="142"),
            a_side(1000, 2, cost="100"),
            f"Errors rose to 6.0{S}%, and spend is up 42{S}% on the 24 hours before.",
            f"60 of 1,000 calls failed; before, 0.20{S}% of 1,000.",
        ),
        (
            a_side(100, cost="3", unpriced=60),
            a_side(100),
            "The cost of 60 of 100 calls is unknown.",
            "Their models have no price yet. What is known adds up to $3.00.",
        ),
        (
            a_side(500, 150),
            a_side(500, 150),
            f"30.0{S}% of calls failed in the last 24 hours.",
            f"150 of 500; before, 30.0{S}% of 500.",
        ),
    ],
)
def test_says_what_stands_out(now: Side, before: Side, answer: str, basis: str) -> None:
    assert said(now, before) == (answer, basis)


def test_names_a_feature() -> None:
    answers = Pair("support-answers", a_side(900, 37), a_side(900, 2))
    rest = Pair("search", a_side(900, 2), a_side(900, 2))
    answer, _ = said(a_side(1800, 39), a_side(1800, 4), answers, rest)
    assert answer == f"Errors rose to 4.1{S}% on support-answers."


def test_names_calls_without_a_feature() -> None:
    nameless = Pair("", a_side(900, 37), a_side(900, 2))
    rest = Pair("search", a_side(900, 2), a_side(900, 2))
    answer, _ = said(a_side(1800, 39), a_side(1800, 4), nameless, rest)
    assert answer == f"Errors rose to 4.1{S}% on calls without a feature."


def test_names_where_the_money_went() -> None:
    notes = Pair("notes", a_side(500, cost="90"), a_side(500, cost="50"))
    rest = Pair("search", a_side(500, cost="52"), a_side(500, cost="50"))
    answer, _ = said(a_side(1000, cost="142"), a_side(1000, cost="100"), notes, rest, key="7d")
    assert answer == f"Spend is up 42{S}% on the 7 days before, most of it on notes; errors are steady."


def test_keeps_what_a_client_called_its_feature_as_it_is() -> None:
    strange = Pair("100 % <b>%(cost)s</b>", a_side(900, 37), a_side(900, 2))
    rest = Pair("search", a_side(900, 2), a_side(900, 2))
    answer, _ = said(a_side(1800, 39), a_side(1800, 4), strange, rest)
    assert answer == f"Errors rose to 4.1{S}% on 100 % <b>%(cost)s</b>."


@pytest.mark.parametrize(
    ("key", "last", "before"),
    [
        ("1h", "the last hour", "the hour before"),
        ("24h", "the last 24 hours", "the 24 hours before"),
        ("7d", "the last 7 days", "the 7 days before"),
        ("30d", "the last 30 days", "the 30 days before"),
        ("90d", "the last 90 days", "the 90 days before"),
        (CUSTOM, "the chosen time", "as long a time before"),
    ],
)
def test_names_the_period(key: str, last: str, before: str) -> None:
    period: Any = a_period(key)
    assert (sentences.last(period), sentences.before(period)) == (last, before)
