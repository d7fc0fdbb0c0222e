"""JSON: valid, by a schema, field by field; on cases made for it, on receipts and on what callers said."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals.scoring.dates import parse_date
from apps.evals.types import ScoreState
from tests.evals.scoring.scoring import rows, score

FENCED = 'Here it is:\n```json\n{"a": 1}\n```\nAnything else?'


@pytest.mark.parametrize(
    ("config", "output", "value", "reason"),
    [
        ({}, '{"a": 1}', 1, "JSON"),
        ({}, FENCED, 1, "JSON"),
        ({"strict": True}, FENCED, 0, "line 1, column 1"),
        ({"type": "object"}, "[1]", 0, "no object"),
        ({}, '{"a": NaN}', 0, "NaN"),
        ({}, '{"a": 1,}', 0, "not JSON"),
        ({}, "", 0, "empty"),
        ({}, "[" * 100_000, 0, "deeper than"),
        ({}, '{"a": ' * 70 + "1" + "}" * 70, 0, "deeper than 64"),
        ({}, "9" * 5_000, 0, "more than 1,000 digits"),
    ],
)
def test_says_whether_it_is_json(config: dict[str, Any], output: str, value: float, reason: str) -> None:
    found = score("json_valid", config, output=output)
    assert found.value == value
    assert reason in found.reason


DOUBLING = {str(i): {"allOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(40)} | {"40": {}}

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "born": {"type": "string", "format": "date"},
        "mail": {"type": "string", "format": "email"},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "value", "reason"),
    [
        ({"name": "Ann", "born": "2001-02-03", "tags": ["a", "b"]}, 1, "keeps to the schema"),
        ({"born": "2001-02-30"}, 0, "'name' is a required property"),
        ({"name": "Ann", "born": "2001-02-30"}, 0, "born: "),
        ({"name": "ann"}, 0, "name: "),
        ({"name": "Ann", "tags": ["a", 5]}, 0, "tags.1: 5 is not of type 'string'"),
        ({"name": "Ann", "tags": ["a", "a"]}, 0, "more than once"),
        ({"name": "Ann", "extra": 1}, 0, "'extra' was unexpected"),
    ],
)
def test_names_the_places_that_break_a_schema(answer: dict[str, Any], value: float, reason: str) -> None:
    for config, metadata in (({"schema": PERSON}, {}), ({}, {"schema": PERSON})):
        found = score("json_schema", config, output=json.dumps(answer), metadata=metadata)
        assert found.value == value
        assert reason in found.reason


@pytest.mark.parametrize(
    ("schema", "answer", "state"),
    [
        (None, {}, ScoreState.NOT_SCORED),
        ({"type": "nonsense"}, {}, ScoreState.ERROR),
        ({"$ref": "#"}, {}, ScoreState.ERROR),
        ({"$ref": "http://127.0.0.1:9/schema"}, {}, ScoreState.ERROR),
        ({"type": "string", "pattern": "(a+)+$"}, "a" * 5_000 + "b", ScoreState.ERROR),
        ({"$ref": "#/$defs/0", "$defs": DOUBLING}, {}, ScoreState.ERROR),
    ],
)
def test_a_schema_that_cannot_be_applied_is_no_verdict(schema: Any, answer: Any, state: ScoreState) -> None:
    """Wrong, endless, doubling forty times, fetched from elsewhere, with a pattern that runs away."""
    found = score("json_schema", output=json.dumps(answer), metadata={"schema": schema})
    assert found.state == state, found.reason
    assert found.value is None


FIELDS: list[tuple[dict[str, Any], Any, Any, float]] = [
    ({}, {"a": "X y", "b": 2}, {"a": "x  Y.", "b": "2"}, 1),
    ({}, {"a": "x", "b": "y"}, {"a": "x"}, 0.5),
    ({}, {"a": "x"}, {"a": "x", "b": "y"}, 0.5),
    ({"extra": "ignore"}, {"a": "x"}, {"a": "x", "b": "y"}, 1),
    ({}, {"a": "x"}, {"a": "x", "b": None, "c": "", "d": []}, 1),
    ({}, {}, {}, 1),
    ({}, {}, {"a": "x"}, 0),
    ({}, {"a": None}, {}, 1),
    ({}, {"a": None}, {"a": "x"}, 0),
    ({"all_or_nothing": True}, {"a": "x", "b": "y"}, {"a": "x", "b": "z"}, 0),
    ({"compare": "exact"}, {"a": "X"}, {"a": "x"}, 0),
    ({"compare": "numeric", "absolute": 0.5}, {"a": 10, "b": "10.0"}, {"a": "10.4", "b": 11}, 0.5),
    ({"fields": {"t": "money", "d": "date"}}, {"t": "9.00", "d": "1/2/2020"}, {"t": "RM 9", "d": "2020-02-01"}, 1),
    ({"fields": {"d": {"compare": "date", "dates": "mdy"}}}, {"d": "2020-01-02"}, {"d": "1/2/2020"}, 1),
    ({"fields": {"note": "ignore"}}, {"a": "x", "note": "n"}, {"a": "x", "note": "other"}, 1),
    ({"fields": {"b": {"optional": True}}}, {"a": "x", "b": "y"}, {"a": "x"}, 1),
    ({"fields": {"b": {"optional": True}}}, {"a": "x", "b": "y"}, {"a": "x", "b": "z"}, 0.5),
    ({"fields": {"a": {"accept_any": True}}}, {"a": ["x", "y"]}, {"a": "y"}, 1),
    ({"compare": "edit_distance"}, {"a": "abcd"}, {"a": "abcx"}, 0.75),
    ({"compare": "contains"}, {"a": "Smith"}, {"a": "Mr. Smith Jr."}, 1),
    ({"compare": "present"}, {"a": "x", "b": "y"}, {"a": "z"}, 0.5),
    ({}, {"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 1, "d": 3}}}, 0.5),
    ({}, {"a": {"b": 1, "c": 2}}, {"a": "flat"}, 0),
    ({}, [1, 2, 3], [1, 3, 2], 1 / 3),
    ({"lists": "set"}, [1, 2, 3], [3, 1, 2], 1),
    (
        {"lists": "set"},
        {"i": [{"n": "a", "p": 1}, {"n": "b", "p": 2}]},
        {"i": [{"n": "b", "p": 2}, {"n": "a", "p": 9}]},
        0.75,
    ),
    ({"lists": "set"}, [1, 2], [2, 1, 7], 2 / 3),
    ({"fields": {"i[].p": "money"}}, {"i": [{"p": "1.50"}]}, {"i": [{"p": "$1.5"}]}, 1),
    ({"expected_path": "json", "output_path": "data.0"}, {"json": {"a": 1}}, {"data": [{"a": 1}]}, 1),
]


@pytest.mark.parametrize(("config", "expected", "answer", "value"), FIELDS)
def test_compares_fields(config: dict[str, Any], expected: Any, answer: Any, value: float) -> None:
    found = score("json_fields", config, expected=expected, output=json.dumps(answer))
    assert found.value == pytest.approx(value), found.reason


def test_receipts_are_right_in_any_spelling_of_date_and_sum_and_wrong_when_changed() -> None:
    config = {"fields": {"date": "date", "total": "money"}}
    for row in rows("sroie.jsonl.gz"):
        expected = row["expected"]
        day = parse_date(expected["date"])
        assert day is not None
        respelled = {**expected, "date": f"{day:%d %B %Y}", "total": f"RM {expected['total']}"}
        later = {**expected, "date": (day + timedelta(days=1)).isoformat()}
        unnamed = {name: value for name, value in expected.items() if name != "company"}

        def value(answer: Any, expected: Any = expected) -> float | None:
            return score("json_fields", config, expected=expected, output=f"```json\n{json.dumps(answer)}\n```").value

        assert value(expected) == 1
        assert value(respelled) == 1
        assert value(later) == 0.75
        assert value(unnamed) == 0.75
        assert value({**expected, "tax": "1.00"}) == 0.8
        assert score("json_fields", config, expected=expected, output="RM 9.00").value == 0


def test_callers_who_said_nothing_are_right_with_an_empty_object_and_not_with_an_invented_one() -> None:
    empty = 0
    for row in rows("restaurant8k.jsonl.gz"):
        expected = row["expected"]
        wrong = {name: f"{value} zebra" for name, value in expected.items()}
        right = [
            score("json_fields", expected=expected, output=json.dumps(answer)).value for answer in (expected, {}, wrong)
        ]
        invented = score("json_fields", expected=expected, output=json.dumps({**expected, "pets": "two"})).value
        assert right[0] == 1
        assert right[1:] == ([1, 1] if not expected else [0, 0])
        assert invented == len(expected) / (len(expected) + 1)
        empty += not expected
    assert 0 < empty < 50


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), ANY_JSON, max_size=4), ANY_JSON, st.sampled_from(["ordered", "set"]))
def test_any_object_is_right_beside_itself_and_within_bounds_beside_others(
    expected: dict[str, Any], other: Any, lists: str
) -> None:
    for compare in ("normalized", "exact", "edit_distance"):
        config = {"compare": compare, "lists": lists}
        assert score("json_fields", config, expected=expected, output=json.dumps(expected)).value == 1
        found = score("json_fields", config, expected=expected, output=json.dumps(other)).value
        assert found is not None
        assert 0 <= found <= 1
