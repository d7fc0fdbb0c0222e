"""Citations, an agent's steps, and ceilings on time and money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.evals.scoring.scoring import rows, score

DOCUMENTS = ({"id": "doc-a", "content": "…"}, {"id": "doc-b", "content": "…"}, {"id": "17", "content": "…"})


@pytest.mark.parametrize(
    ("config", "output", "value", "reason"),
    [
        ({}, "Cats purr [1]. Dogs bark [2, 3].", 1, "All 3 citations"),
        ({}, "Cats purr [1]. Dogs bark [7].", 0.5, "not “7”"),
        ({}, "Cats purr [doc-a][doc-z] (as [sic] says [a link](http://x.example/1)).", 0.5, "not “doc-z”"),
        ({}, "Cats purr [17].", 1, "All 1"),
        ({"by": "number"}, "Cats purr [17].", 0, "not “17”"),
        ({"by": "id"}, "Cats purr [1].", 0, "not “1”"),
        ({}, "Cats purr.", 0, "cites nothing"),
        ({"style": "parentheses"}, "Cats purr (1; 2).", 1, "All 2"),
        ({"style": "lenticular"}, "Cats purr【doc-b】.", 1, "All 1"),
        ({"style": "own", "pattern": r"<c>(.*?)</c>"}, "Cats purr <c>doc-a</c>.", 1, "All 1"),
        ({"measure": "coverage"}, "Cats really purr [1]. Dogs bark aloud. [2] Birds sing songs.\n", 2 / 3, "2 of 3"),
        ({"measure": "coverage"}, "Cats purr, e.g. at 3.5 Hz [1]. Nobody knows why, though.", 0.5, "1 of 2"),
        ({"measure": "coverage"}, "Cats really purr [9].", 0, "0 of 1"),
        ({"measure": "precision"}, "Cats [1], dogs [3].", 0.5, "1 of 2 cited"),
        ({"measure": "recall"}, "Cats [1], dogs [3].", 0.5, "missing: “doc-b”"),
        ({"measure": "f1"}, "Cats [1], dogs [2].", 1, "2 of 2"),
    ],
)
def test_looks_at_citations(config: dict[str, Any], output: str, value: float, reason: str) -> None:
    found = score("citations", config, output=output, context=DOCUMENTS, metadata={"citations": ["doc-a", "doc-b"]})
    assert found.value == pytest.approx(value), found.reason
    assert reason in found.reason


def test_without_documents_or_expected_ones_nothing_is_scored() -> None:
    assert score("citations", output="x [1]").value is None
    assert score("citations", {"measure": "recall"}, output="x [1]", context=DOCUMENTS).value is None
    expected = score("citations", {"measure": "recall"}, output="x [1]", context=DOCUMENTS, expected=["doc-a"])
    assert expected.value == 1


def assistant(*tools: str, arguments: str = "{}") -> dict[str, Any]:
    return {
        "role": "assistant",
        "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}} for name in tools],
    }


RUN = (
    {"role": "user", "content": "Book it"},
    assistant("find"),
    {"role": "tool", "content": "Error: no such user"},
    assistant("find"),
    {"role": "tool", "content": "[]"},
    assistant("look", "book"),
    {"role": "assistant", "content": "Done."},
)


@pytest.mark.parametrize(
    ("config", "value", "reason"),
    [
        ({"tools": ["find", "book"]}, 1, "All 2 expected tools were called in order."),
        ({"tools": ["book", "find"]}, 0.5, "1 of 2"),
        ({"tools": ["book", "find"], "match": "any_order"}, 1, "All 2"),
        ({"tools": ["find", "pay"], "match": "any_order"}, 0.5, "Not called: pay."),
        ({"tools": ["find", "find", "look", "book"], "match": "same"}, 1, "All 4"),
        ({"tools": ["find", "book"], "match": "same"}, 0.5, "and 2 calls beside them"),
        ({"forbidden": ["look"]}, 0, "Forbidden: look."),
        ({"max_steps": 4}, 1, "4 steps"),
        ({"max_steps": 3}, 0, "4 steps, at most 3 allowed"),
        ({"max_repeats": 1}, 0, "The same call of find was made 2 times"),
        ({"max_errors": 0}, 0, "1 tool results are errors"),
        ({"outcome_field": "reward"}, 1, "The outcome is 1"),
        ({"outcome_field": "reward", "outcome_least": 2}, 0, "The outcome is 1"),
        ({"outcome_field": "nothing"}, None, "no outcome at nothing"),
        ({"tools": ["find", "book"], "forbidden": ["look"]}, 0.5, "Forbidden"),
        ({"tools": ["find", "book"], "forbidden": ["look"], "all_or_nothing": True}, 0, "Forbidden"),
        ({}, None, "Nothing to check"),
    ],
)
def test_looks_at_steps(config: dict[str, Any], value: float | None, reason: str) -> None:
    found = score("trajectory", config, steps=RUN, metadata={"reward": 1.0})
    assert found.value == value, found.reason
    assert reason in found.reason


def test_recorded_runs_of_an_agent() -> None:
    """The outcome is the published reward; the expected actions are all called, whenever the reward was given."""
    outcomes, called = [], []
    for row in rows("tau_airline_runs.jsonl.gz"):
        case = {"steps": tuple(row["traj"]), "metadata": row, "expected": {"actions": row["actions"]}}
        outcome = score("trajectory", {"outcome_field": "reward", "match": "none"}, **case)
        assert outcome.value == row["reward"]
        outcomes.append(outcome.value)
        if row["actions"]:
            called.append((row["reward"], score("trajectory", {"match": "any_order"}, **case).value))
    assert {0.0, 1.0} <= set(outcomes)
    assert all(value == 1 for reward, value in called if reward == 1)
    assert any(value < 1 for reward, value in called if reward == 0 and value is not None)


@pytest.mark.parametrize(
    ("kind", "config", "case", "value"),
    [
        ("latency", {"ceiling_ms": 1000}, {"latency_ms": 1000}, 1),
        ("latency", {"ceiling_ms": 1000}, {"latency_ms": 1001}, 0),
        ("latency", {"ceiling_ms": 1000, "zero_at_ms": 3000}, {"latency_ms": 2500}, 0.25),
        ("latency", {"ceiling_ms": 1000, "zero_at_ms": 3000}, {"latency_ms": 3000}, 0),
        ("latency", {"of": "ttft", "ceiling_ms": 300}, {"latency_ms": 9000, "ttft_ms": 200}, 1),
        ("latency", {"of": "ttft"}, {"latency_ms": 9000}, None),
        ("cost", {"ceiling_usd": "0.002"}, {"cost_usd": Decimal("0.002")}, 1),
        ("cost", {"ceiling_usd": 0.002}, {"cost_usd": Decimal("0.0020001")}, 0),
        ("cost", {"ceiling_usd": 0.002, "zero_at_usd": 0.004}, {"cost_usd": Decimal("0.003")}, 0.5),
        ("cost", {}, {}, None),
    ],
)
def test_keeps_to_ceilings(kind: str, config: dict[str, Any], case: dict[str, Any], value: float | None) -> None:
    assert score(kind, config, **case).value == value
