"""Exact, normalized, contains and pattern."""

from __future__ import annotations

from typing import Any

import pytest

from apps.evals.scoring.kinds import BadConfig
from apps.evals.scoring.registry import KINDS
from apps.evals.types import ScoreState
from tests.evals.scoring.scoring import score

CASES: list[tuple[str, dict[str, Any], Any, str, float | None]] = [
    ("exact", {}, "Paris", "Paris\n", 1),
    ("exact", {"strip": False}, "Paris", "Paris\n", 0),
    ("exact", {}, "Paris", "paris", 0),
    ("exact", {}, ["Paris", "City of Light"], "City of Light", 1),
    ("exact", {}, 18, "18", 1),
    ("exact", {}, 18.0, "18", 1),
    ("exact", {}, True, "true", 1),
    ("exact", {}, "", "", 1),
    ("exact", {}, None, "x", None),
    ("exact", {}, {"a": 1, "b": [1, 2]}, '```json\n{"b": [1, 2], "a": 1.0}\n```', 1),
    ("exact", {}, {"a": 1}, '{"a": true}', 0),
    ("exact", {}, {"a": 1}, "a is 1", 0),
    ("exact", {"accept_any": False}, ["a", "b"], '["a","b"]', 1),
    ("exact", {"expected_path": "answer.value"}, {"answer": {"value": "x"}}, "x", 1),
    ("exact", {"expected_path": "answer"}, {"other": "x"}, "x", None),
    ("normalized", {}, "The  Eiffel Tower!", "the eiffel tower", 1),
    ("normalized", {}, "Eiffel Tower", "the Eiffel tower", 0),
    ("normalized", {"articles": True}, "Eiffel Tower", "The Eiffel tower.", 1),
    ("normalized", {"punctuation": False}, "don't", "dont", 0),
    ("normalized", {}, "don't", "Dont", 1),
    ("normalized", {}, "Ｆｕｌｌ ①", "full 1", 1),
    ("normalized", {}, "Straße", "STRASSE", 1),
    ("normalized", {"case": False}, "Paris", "paris", 0),
    ("normalized", {}, "?!", "?!", 1),
    ("normalized", {}, "?!", "", 0),
    ("normalized", {}, "  ", "x", None),
    ("contains", {}, "Paris", "It is Paris, of course.", 1),
    ("contains", {}, "art", "The party", 0),
    ("contains", {"whole_words": False}, "art", "The party", 1),
    ("contains", {"words": ["refund", "14 days"], "mode": "all"}, None, "A Refund within 14 days.", 1),
    ("contains", {"words": ["refund", "14 days"], "mode": "all"}, None, "A refund.", 0),
    ("contains", {"words": ["refund", "14 days"], "mode": "all", "partial": True}, None, "A refund.", 0.5),
    ("contains", {"words": "sorry\ncannot", "mode": "none"}, None, "I am sorry", 0),
    ("contains", {"words": ["sorry"], "mode": "none"}, None, "Here you are", 1),
    ("contains", {"case": False}, "Paris", "paris", 0),
    ("contains", {"words": ["C++"]}, None, "in C++11", 1),
    ("contains", {}, None, "x", None),
    ("regex", {"pattern": r"^\d{4}-\d\d$", "mode": "whole"}, None, " 2024-05 ", 1),
    ("regex", {"pattern": r"\d{4}", "mode": "whole"}, None, "in 2024", 0),
    ("regex", {"pattern": r"password", "mode": "absent", "ignore_case": True}, None, "The PASSWORD", 0),
    ("regex", {"pattern": r"^b", "multiline": True}, None, "a\nb", 1),
    ("regex", {"pattern": r"a.b", "dot_all": True}, None, "a\nb", 1),
    ("regex", {}, r"colou?r", "color", 1),
    ("regex", {}, None, "color", None),
]


@pytest.mark.parametrize(("kind", "config", "expected", "output", "value"), CASES)
def test_scores_texts(kind: str, config: dict[str, Any], expected: Any, output: str, value: float | None) -> None:
    found = score(kind, config, expected=expected, output=output)
    assert found.value == value, found.reason
    assert found.state == (ScoreState.NOT_SCORED if value is None else ScoreState.SCORED)
    assert found.reason.endswith(".")


def test_a_pattern_that_runs_away_is_an_error_and_no_pass() -> None:
    for mode in ("search", "absent"):
        found = score("regex", {"pattern": "(a+)+$", "mode": mode}, output="a" * 5_000 + "b")
        assert found.state == ScoreState.ERROR
        assert found.value is None
        assert "longer than" in found.reason


def test_reasons_say_what_differs() -> None:
    assert score("exact", expected="Paris", output="Rome").reason == "Expected “Paris”, but the output is “Rome”."
    found = score("contains", {"words": ["a1", "b2", "c3"], "mode": "all"}, output="b2")
    assert found.reason == "1 of 3 found; missing: “a1”, “c3”."


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("regex", {"pattern": "("}, "pattern"),
        ("contains", {"mode": "some"}, "mode"),
        ("contains", {"words": [{"a": 1}]}, "words"),
        ("contains", {"words": ["x"] * 1_001}, "words"),
        ("exact", {"strip": "perhaps"}, "strip"),
        ("exact", {"nonsense": 1}, "nonsense"),
        ("numeric", {"absolute": -1}, "absolute"),
        ("numeric", {"relative": float("nan")}, "relative"),
        ("numeric", {"absolute": "much"}, "absolute"),
        ("json_schema", {"schema": "{"}, "schema"),
        ("json_schema", {"schema": {"type": 5}}, "schema"),
        ("json_fields", {"fields": {"a": "nearly"}}, "fields"),
        ("json_fields", {"fields": {"a": {"compare": "date", "color": 1}}}, "fields"),
        ("trajectory", {"max_steps": 2.5}, "max_steps"),
        ("latency", {"ceiling_ms": 100, "zero_at_ms": 50}, "zero_at_ms"),
        ("citations", {"style": "own"}, "pattern"),
    ],
)
def test_refuses_settings_by_field(kind: str, config: dict[str, Any], field: str) -> None:
    with pytest.raises(BadConfig) as refused:
        KINDS[kind].read(config)
    assert list(refused.value.details) == [field]
    assert all(sentence.endswith(".") for sentence in refused.value.details[field])


def test_reading_settings_twice_changes_nothing_and_forms_may_send_texts() -> None:
    for kind in KINDS.values():
        if kind.score is not None:
            once = kind.read({})
            assert set(once) == {field.name for field in kind.fields}
            assert kind.read(once) == once
    read = KINDS["numeric"].read({"absolute": "0.5", "pattern": "", "accept_any": "on"})
    assert (read["absolute"], read["pattern"], read["accept_any"]) == (0.5, "", True)
