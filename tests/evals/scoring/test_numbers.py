"""Numbers in text, on cases made for it and on recorded solutions of six models."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals.scoring.dates import parse_date, parse_money
from apps.evals.scoring.numbers import answer_in, numbers_in
from apps.evals.types import ScoreState
from tests.evals.scoring.scoring import rows, score

CASES: list[tuple[dict[str, Any], Any, str, float | None]] = [
    ({}, "18", "She makes 9 * 2 = $18 every day.", 1),
    ({}, 18, "#### 18", 1),
    ({}, "1234.5", "It is $1,234.50.", 1),
    ({}, "1234567", "1 234 567 people", 0),
    ({}, "1234567", "1\u202f234\u202f567 people", 1),
    ({}, "-5", "The result is −5", 1),
    ({}, "3", "5-3", 1),
    ({}, "12", "The answer is 12 because 3 x 4 is 12; see page 7.", 1),
    ({}, "20", "Answer: $40 - $20 = $20 for 2 people", 1),
    ({}, "0.12", "12%", 1),
    ({"percent": "number"}, "0.12", "12%", 0),
    ({"percent": "share"}, "0.12", "12 %", 1),
    ({}, "0.75", "3/4", 1),
    ({}, "1.5", "1 1/2 cups", 1),
    ({}, "1.5", "1½ cups", 1),
    ({}, "0.75", r"so $\boxed{\frac{3}{4}}$", 1),
    ({}, "42", r"\boxed{{42}} and then 7 more words", 1),
    ({}, "1.2e3", "1200", 1),
    ({}, "6e23", "about 6 × 10^23 atoms", 1),
    ({}, "45", "45 kg of CO2", 1),
    ({}, "3.14", "3.14159", 0),
    ({"absolute": 0.01}, "3.14", "3.14159", 1),
    ({"relative": 0.01}, "1000", "1009.9", 1),
    ({"relative": 0.01}, "1000", "1010.1", 0),
    ({}, "0.3", "0.30000000000000001", 0),
    ({"take": "first"}, "7", "7 of 9", 1),
    ({"take": "only"}, "7", "7 of 9", 0),
    ({"take": "marked", "mark": "Total:"}, "7", "3 items. Total: 7 EUR (19% VAT)", 1),
    ({"take": "marked", "mark": "Total:"}, "7", "7", 0),
    ({"decimal": "comma"}, 1234.5, "1.234,50 €", 1),
    ({}, ["17", "18"], "18", 1),
    ({}, "no number", "18", None),
    ({}, None, "18", None),
    ({}, "18", "eighteen", 0),
    ({}, "18", "9" * 2_000, 0),
    ({}, "18", "1e99999999", 0),
    ({}, "18", "1/0", 0),
]


@pytest.mark.parametrize(("config", "expected", "output", "value"), CASES)
def test_finds_the_number_and_compares_it(
    config: dict[str, Any], expected: Any, output: str, value: float | None
) -> None:
    found = score("numeric", config, expected=expected, output=output)
    assert found.value == value, found.reason


def test_recorded_solutions_are_right_exactly_where_their_publishers_say_so() -> None:
    """Four models of GSM8K's publishers: every verdict. GPT-4 and Mixtral were graded by their last run of digits, by
    which "$20.00" is wrong where 20 is right: read to that letter every verdict comes out; as numbers, those differ.
    """
    plain: Counter[tuple[str, bool]] = Counter()
    for row in rows("gsm8k_answers.jsonl.gz"):
        usual = score("numeric", expected=row["expected"], output=row["output"])
        letter = {"take": "last", "pattern": r"\d[\d,]*"}
        to_the_letter = score("numeric", letter, expected=row["expected"], output=row["output"])
        if row["model"].startswith(("6b", "175b")):
            assert usual.value == row["is_correct"], (row["id"], row["model"], usual.reason)
        else:
            assert to_the_letter.value == row["is_correct"], (row["id"], row["model"], to_the_letter.reason)
            if usual.value != row["is_correct"]:
                assert row["output"].rstrip(".\n ").endswith(".00"), row["output"][-80:]
        plain[row["model"], usual.value == 1.0] += 1
    assert sum(plain.values()) == 330
    assert len(plain) == 12, "every model has right and wrong ones"


@given(st.integers(-(10**12), 10**12), st.integers(0, 999_999))
def test_reads_back_what_it_wrote(whole: int, millionths: int) -> None:
    value = Fraction(whole) + Fraction(millionths, 10**6) * (-1 if whole < 0 else 1)
    text = f"{abs(whole):,}.{millionths:06d}"
    sign = "-" if whole < 0 else ""
    (number,) = numbers_in(f"so {sign}${text} is it")
    assert number.value == value
    found = answer_in(f"1 + 1 = 2\n#### {sign}{text}\n")
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("text", "order", "date"),
    [
        ("25/12/2018 8:13:39 PM", "dmy", "2018-12-25"),
        ("12-01-19", "dmy", "2019-01-12"),
        ("12-01-19", "mdy", "2019-12-01"),
        ("12-25-19", "dmy", "2019-12-25"),
        ("2018-03-09T10:00:00Z", "dmy", "2018-03-09"),
        ("9 March 2018", "dmy", "2018-03-09"),
        ("Mar. 9th, 2018", "dmy", "2018-03-09"),
        ("09MAR18", "dmy", "2018-03-09"),
        ("20180309", "mdy", "2018-03-09"),
        ("18/03/09", "ymd", "2018-03-09"),
        ("31/02/2018", "dmy", None),
        ("next Friday", "dmy", None),
    ],
)
def test_reads_dates(text: str, order: str, date: str | None) -> None:
    found = parse_date(text, order)
    assert (found.isoformat() if found else None) == date


@pytest.mark.parametrize(
    ("text", "sum_"),
    [("RM 1,234.50", "1234.5"), ("$9", "9"), ("12,90 €", "12.9"), ("1.234,50", "1234.5"), ("1,234", "1234")]
    + [("USD5.10", "5.1"), ("between 5 and 6", None), ("free", None)],
)
def test_reads_sums_of_money(text: str, sum_: str | None) -> None:
    assert parse_money(text) == (None if sum_ is None else Fraction(sum_))


def test_own_pattern_that_runs_away_is_an_error() -> None:
    found = score("numeric", {"pattern": "(9+)+x", "take": "last"}, expected="1", output="9" * 5_000)
    assert found.state == ScoreState.ERROR
