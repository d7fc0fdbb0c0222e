"""Exported tables cannot become formulas."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apps.core.exports import csv_text, safe_text

HOSTILE = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1+1",
    "\u00a0=1",
    "\ufeff=1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(1)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_never_lets_a_cell_begin_a_formula(text: str) -> None:
    assert safe_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "support-answers", "a=b", "1 - 2", "naïve", "'quoted"])
def test_leaves_other_text_as_it_is(text: str) -> None:
    assert safe_text(text) == text


def test_writes_numbers_as_numbers_and_unknown_as_nothing() -> None:
    when = datetime(2026, 3, 4, 12, tzinfo=UTC)
    text = csv_text(["=name", "a", "b", "c", "d"], [['x, "y"', -3, Decimal("-0.0000010"), None, when]])
    head, row = list(csv.reader(io.StringIO(text)))
    assert head == ["'=name", "a", "b", "c", "d"]
    assert row == ['x, "y"', "-3", "-0.0000010", "", "2026-03-04T12:00:00+00:00"]
