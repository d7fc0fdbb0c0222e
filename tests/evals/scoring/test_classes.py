"""Labels: found in outputs, and the figures of a run of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals.scoring.classes import NO_LABEL, classification_report
from tests.evals.scoring.scoring import rows, score

CARDS = ["card_arrival", "card", "lost_or_stolen_card", "top_up_failed"]


@pytest.mark.parametrize(
    ("config", "expected", "output", "value", "label"),
    [
        ({"labels": CARDS}, "card_arrival", "card_arrival", 1, "card_arrival"),
        ({"labels": CARDS}, "card_arrival", " **Card arrival**.\n", 1, "card_arrival"),
        ({"labels": CARDS}, "card_arrival", "I would say card-arrival here.", 1, "card_arrival"),
        ({"labels": CARDS}, "card", "card_arrival", 0, "card_arrival"),
        ({"labels": CARDS}, "card", "not top_up_failed but card", 1, "card"),
        ({"labels": CARDS, "several": "first"}, "card", "not top_up_failed but card", 0, "top_up_failed"),
        ({"labels": CARDS, "several": "none"}, "card", "top_up_failed or card", 0, NO_LABEL),
        ({"labels": CARDS, "take": "whole"}, "card", "It is card", 0, NO_LABEL),
        ({"labels": CARDS}, "card", "greeting", 0, NO_LABEL),
        ({"labels": CARDS}, "card", "", 0, NO_LABEL),
        ({"labels": CARDS}, "unheard_of", "card", None, ""),
        ({"labels": CARDS}, None, "card", None, ""),
        ({"labels": CARDS}, ["card", "card_arrival"], "card_arrival", 1, "card_arrival"),
        ({"labels": ["A", "B"]}, "B", "A good question; the answer is B.", 1, "B"),
        ({"labels": ["A", "B"]}, "A", "it takes a minute: B", 0, "B"),
        ({"labels": ["yes", "no"], "take": "first_line"}, "no", "No\nyes it is", 1, "no"),
        ({"labels": ["yes", "no"], "take": "last_line"}, "yes", "No\nyes", 1, "yes"),
        ({"labels": ["A", "B"], "take": "boxed"}, "B", r"\boxed{A}, no, \boxed{{B}}", 1, "B"),
        ({"labels": ["yes", "no"], "take": "json", "json_field": "r.label"}, "no", '{"r": {"label": "NO"}}', 1, "no"),
        ({"labels": ["yes", "no"], "take": "json"}, "no", '{"other": 1}', 0, NO_LABEL),
        ({}, "Spam", "spam", 1, "Spam"),
        ({}, "spam", "ham", 0, "ham"),
    ],
)
def test_finds_labels(config: dict[str, Any], expected: Any, output: str, value: float | None, label: str) -> None:
    found = score("classification", config, expected=expected, output=output)
    assert (found.value, found.label) == (value, label), found.reason


def test_recorded_answers_score_as_published() -> None:
    """RouterArena's multiple-choice and short answers, whose keys are letters, places of the option, or words."""
    for row in rows("routerarena_answers.jsonl.gz"):
        expected, config = row["expected"], {"take": "boxed"}
        if row["metric"] == "mcq_accuracy":
            expected = chr(ord("A") + int(float(expected))) if expected[0].isdigit() else expected.upper()
            config["labels"] = "\n".join("ABCDEFGHIJ")
        found = score("classification", config, expected=expected, output=row["response"])
        assert found.value == row["score"], (row["id"], found.reason)


def test_figures_of_a_run_of_intents() -> None:
    """Questions to a bank, answered wrong by rule; the figures are those of the definitions, counted anew."""
    labels = ["card_arrival", "card_linking", "exchange_rate"]
    pairs = []
    for number, row in enumerate(rows("banking77.jsonl.gz")):
        given_ = labels[number % 3] if number % 4 == 0 else row["label"]
        found = score("classification", expected=row["label"], output=f"{given_}\n")
        pairs.append((found.details["expected"], found.label))
    report = classification_report(pairs)
    assert report.total == len(pairs)
    assert report.accuracy == sum(a == b for a, b in pairs) / len(pairs)
    for figures in report.labels:
        hits = sum(a == b == figures.label for a, b in pairs)
        given_count, wanted = (sum(pair[side] == figures.label for pair in pairs) for side in (1, 0))
        assert figures.precision == (hits / given_count if given_count else None)
        assert figures.recall == (hits / wanted if wanted else None)
    asked = [figures for figures in report.labels if figures.support]
    assert report.macro_f1 == pytest.approx(sum(figures.f1 for figures in asked) / len(asked))
    assert report.confusions[0].count == max(pairs.count(pair) for pair in pairs if pair[0] != pair[1])
    assert report.as_dict()["labels"][0]["label"] == report.labels[0].label


def test_a_worked_example_and_a_run_of_none() -> None:
    report = classification_report([("a", "a"), ("a", "a"), ("a", "b"), ("b", "b"), ("b", NO_LABEL)])
    a, b, none = report.labels[1], report.labels[2], report.labels[0]
    assert (a.precision, a.recall, a.f1, a.support) == (1.0, 2 / 3, 0.8, 3)
    assert (b.precision, b.recall, b.f1, b.support) == (0.5, 0.5, 0.5, 2)
    assert (none.label, none.recall, none.support) == (NO_LABEL, None, 0)
    assert report.macro_f1 == pytest.approx(0.65)
    assert report.weighted_f1 == pytest.approx((0.8 * 3 + 0.5 * 2) / 5)
    assert classification_report([]).accuracy is None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), max_size=40))
def test_figures_stay_within_bounds_and_add_up(pairs: list[tuple[str, str]]) -> None:
    report = classification_report(pairs, confusions=1_000)
    assert sum(figures.support for figures in report.labels) == sum(f.predicted for f in report.labels) == len(pairs)
    wrong = sum(confusion.count for confusion in report.confusions)
    assert wrong == sum(a != b for a, b in pairs)
    assert all(0 <= figures.f1 <= 1 for figures in report.labels)
