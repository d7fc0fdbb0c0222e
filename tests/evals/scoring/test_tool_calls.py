"""Tool calls, on cases made for it and on requests of the Berkeley Function Calling Leaderboard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.evals.scoring.scoring import rows, score

PAID = [{"pay": {"amount": [5, 5.0], "note": ["Thanks", ""]}}, {"mail": {"to": ["ann"]}}]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize(
    ("config", "expected", "made", "value", "reason"),
    [
        ({}, PAID, [call("mail", to="Ann"), call("pay", amount=5)], 1, "All 2 calls are right."),
        ({"order": "same"}, PAID, [call("mail", to="ann"), call("pay", amount=5)], 0, "out of order"),
        ({"order": "same", "partial": True}, PAID, [call("mail", to="ann"), call("pay", amount=5)], 0.5, "1 of 2"),
        (
            {"texts": "exact"},
            PAID,
            [call("mail", to="Ann"), call("pay", amount=5)],
            0,
            "to of mail is “Ann”, expected “ann”",
        ),
        ({}, PAID, [call("pay", amount="5"), call("mail", to="ann")], 0, "amount of pay is “5”, expected 5"),
        ({}, PAID, [call("pay", amount=5)], 0, "mail was not called"),
        ({}, PAID, [call("pay"), call("mail", to="ann")], 0, "the argument amount of pay is missing"),
        ({}, PAID, [call("pay", amount=5, tip=1), call("mail", to="ann")], 0, "tip, which is not expected"),
        ({"extra_arguments": "ignore"}, PAID, [call("pay", amount=5, tip=1), call("mail", to="ann")], 1, "right"),
        ({}, PAID, [call("pay", amount=5), call("mail", to="ann"), call("log")], 0, "log was called beyond"),
        ({"extra_calls": "ignore"}, PAID, [call("pay", amount=5), call("mail", to="ann"), call("log")], 1, "right"),
        ({"compare": "names"}, PAID, [call("pay"), call("mail")], 1, "right"),
        ({}, ["pay", "mail"], [call("mail", to="bob"), call("pay")], 1, "right"),
        ({}, call("f", a={"b": [1, 2]}), [call("f", a={"b": [1, 2.0]})], 1, "right"),
        ({}, call("f", a={"b": [1, 2]}), [call("f", a={"b": [2, 1]})], 0, "a of f"),
        ({}, call("f", a=True), [call("f", a=1)], 0, "a of f is 1, expected true"),
        ({"optional": ["f.b"]}, call("f", a=1, b=2), [call("f", a=1)], 1, "right"),
        ({}, [{"f": {"o": [{"x": [1], "y": [2, ""]}]}}], [call("f", o={"x": 1})], 1, "right"),
        ({}, [{"f": {"o": [{"x": [1], "y": [2, ""]}]}}], [call("f", o={"y": 2})], 0, "o of f"),
        ({}, call("math.factorial", n=5), [{"name": "math_factorial", "arguments": '{"n": 5}'}], 1, "right"),
        ({}, call("f", n=5), [{"name": "f", "arguments": '{"n": 5'}], 0, "the arguments of f are no JSON object"),
        ({}, [], [], 1, "No call, as expected."),
        ({}, [], [call("f")], 0, "f was called, though no call is expected."),
        ({}, [], ["broken"], 0, "though no call is expected"),
        ({}, None, [call("f")], None, "no expected answer"),
        ({}, "in words", [call("f")], None, "no tool calls"),
        ({}, json.dumps([call("f", a=1)]), [call("f", a=1)], 1, "right"),
    ],
)
def test_compares_calls(
    config: dict[str, Any], expected: Any, made: list[Any], value: float | None, reason: str
) -> None:
    found = score("tool_calls", config, expected=expected, tool_calls=tuple(made))
    assert found.value == value, found.reason
    assert reason in found.reason


def test_reads_calls_out_of_the_text_only_when_told() -> None:
    text = '```json\n[{"pay": {"amount": 5}}, {"name": "mail", "arguments": {"to": "ann"}}]\n```'
    assert score("tool_calls", {"in_text": True}, expected=PAID, output=text).value == 1
    assert score("tool_calls", expected=PAID, output=text).value == 0


def _accepted(value: Any) -> Any:
    """One accepted value, without those of objects that may be left out."""
    if isinstance(value, dict):
        return {name: _accepted(choices[0]) for name, choices in value.items() if "" not in choices}
    return [_accepted(item) for item in value] if isinstance(value, list) else value


def _calls(row: dict[str, Any]) -> list[dict[str, Any]]:
    calls = []
    for wanted in row["expected_calls"]:
        ((name, arguments),) = wanted.items()
        chosen = {key: next((one for one in choices if one != ""), "") for key, choices in arguments.items()}
        calls.append(call(name.replace(".", "_"), **{key: _accepted(one) for key, one in chosen.items() if one != ""}))
    return calls


def test_real_requests_are_right_with_accepted_calls_and_wrong_with_any_change() -> None:
    seen: set[str] = set()
    for row in rows("bfcl.jsonl.gz"):
        seen.add(row["category"])

        def value(calls: list[dict[str, Any]], row: dict[str, Any] = row, **config: str) -> float | None:
            return score("tool_calls", config, expected=row["expected_calls"], tool_calls=tuple(calls)).value

        right = _calls(row)
        assert value(right) == 1, row["id"]
        assert value([*right, call("zebra")]) == 0
        if not right:
            continue
        first, *others = right
        name, given = next(iter(first["arguments"].items()))
        changed = call(first["name"], **{**first["arguments"], name: [given, "zebra"]})
        assert value([changed, *others]) == 0
        assert value([call(first["name"]), *others]) == 0
        assert value(others) == 0
        if others:
            assert value(right[::-1]) == 1
            assert value(right[::-1], order="same") == 0
    assert seen == {"simple_python", "live_simple", "irrelevance", "multiple", "parallel"}
