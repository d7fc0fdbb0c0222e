"""No case makes a scorer raise, hang, answer outside 0..1 or say what cannot be stored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from apps.evals.scoring.kinds import BadConfig
from apps.evals.scoring.registry import KINDS
from apps.evals.types import Case, Score, ScoreState

MEGABYTES = "word 12. " * 560_000


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


OUTPUTS: dict[str, str] = {
    "nothing": "",
    "five megabytes of words": MEGABYTES,
    "five megabytes of one word": "a" * 5_000_000,
    "a hundred thousand words": " ".join(f"w{number}" for number in range(100_000)),
    "deep lists": "[" * 5_000 + "]" * 5_000,
    "open objects": '{"a":' * 50_000,
    "a number of a million digits": "9" * 1_000_000,
    "a huge exponent": '#### 1e999999999 {"a": 1e999999999}',
    "not a number": '{"a": NaN, "b": Infinity}',
    "a division by zero": "1/0 \\boxed{\\frac{1}{0}}",
    "what cannot be stored": "a\x00b \ud800 [\x01]",
    "open boxes": "\\boxed{" * 20_000,
    "open fences": "```json\n" * 20_000,
    "citations": "[1] " * 50_000 + "【1】" * 1_000,
    "a wide object": json.dumps({str(number): number for number in range(50_000)}),
    "a long list": json.dumps([{"a": number, "b": [str(number)]} for number in range(20_000)]),
}

EXPECTED: dict[str, Any] = {
    "nothing": None,
    "a text": "word 12",
    "a number": 12,
    "no number": float("nan"),
    "a number of five thousand digits": 10**5_000,
    "too deep": _nested(5_000),
    "a mixture": ["a", 12, None, {"a": [1]}, True],
    "an object": {"a": 1, "b": ["x"]},
    "an empty object": {},
    "an empty list": [],
    "calls": [{"f": {"a": [1, ""]}}],
    "what cannot be stored": "\x00\ud800",
    "a long list": [{"a": number + 1, "b": [str(number)]} for number in range(20_000)],
    "a hundred thousand words": OUTPUTS["a hundred thousand words"],
}

LONG = {"a long list", "a hundred thousand words"}

CONFIGS: dict[str, list[dict[str, Any]]] = {
    "contains": [{"words": ["a", "word 12. " * 200], "mode": "all"}],
    "regex": [{"pattern": r"(\w+\s?)+$"}],
    "json_fields": [{"lists": "set", "compare": "edit_distance"}],
    "tool_calls": [{"in_text": True}],
    "classification": [{"labels": ["a", "word", "12"]}],
    "citations": [{}, {"measure": "coverage"}],
    "trajectory": [{"tools": ["a"], "max_repeats": 1, "max_errors": 0}],
}

STEPS: tuple[Any, ...] = (
    {"role": "assistant", "tool_calls": "none"},
    {
        "role": "assistant",
        "tool_calls": [5, {"function": None}, {"function": {"name": None, "arguments": _nested(5_000)}}],
    },
    {"role": "tool", "content": None},
    "a message in words",
)

COMPUTED = sorted(name for name, kind in KINDS.items() if kind.score is not None)


def _case(output: str, expected: Any) -> Case:
    return Case(
        expected=expected,
        output=output,
        context=({"id": "1", "content": "x"}, {"id": None}, "a document in words"),  # type: ignore[arg-type]
        metadata={
            "schema": {"type": "array", "uniqueItems": True, "items": {"pattern": "(a+)+$"}},
            "citations": [_nested(99)],
        },
        tool_calls=({"name": "f", "arguments": _nested(5_000)}, {"name": "f", "arguments": "{"}, {}),
        steps=STEPS,
        latency_ms=10**12,
        ttft_ms=0,
        cost_usd=Decimal("1e-12"),
    )


def _check(found: Score, what: object) -> None:
    assert (found.value is None) == (found.state != ScoreState.SCORED), what
    assert found.value is None or 0.0 <= found.value <= 1.0, what
    assert 0 < len(found.reason) < 3_000, what
    kept = json.dumps([found.reason, found.label, dict(found.details)], allow_nan=False, ensure_ascii=False)
    assert len(kept.encode()) < 100_000, what
    assert "\\u0000" not in kept, what


@pytest.mark.parametrize("name", COMPUTED)
def test_nothing_in_a_case_breaks_a_scorer(name: str) -> None:
    kind = KINDS[name]
    assert kind.score is not None
    for settings in CONFIGS.get(name, [{}]):
        config = kind.read(settings)
        for said, output in OUTPUTS.items():
            for wanted, expected in EXPECTED.items():
                # What is long meets its like and one short thing; what is short meets all that is.
                if len(output) > 100_000 and wanted not in {"a mixture", said}:
                    continue
                if wanted in LONG and said not in {"what cannot be stored", wanted}:
                    continue
                started = time.process_time()
                _check(kind.score(_case(output, expected), config), (name, settings, said, wanted))
                assert time.process_time() - started < 20, (name, settings, said, wanted)


VALUES: Sequence[Any] = (
    None, "", "x", "\x00", "(", 5, -1, 0.5, float("nan"), float("inf"), 10**400, "9" * 5_000, "1e999999", True, [],
    [None], ["a"] * 2_000, "y" * 60_000, {}, {"a": {"b": 1}}, _nested(5_000), "[" * 50_000, {"type": "object"},
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_settings_break_their_reader(name: str) -> None:
    """Judges too: settings are read and can be kept as JSON, or are refused with sentences."""
    kind = KINDS[name]
    for field in (*kind.fields, None):
        for value in VALUES:
            _read(name, {field.name if field else "unheard_of": value})
    for whole in ([], "text", 5, None):
        _read(name, whole)


def _read(name: str, settings: Any) -> None:
    try:
        outcome = KINDS[name].read(settings)
    except BadConfig as refused:
        outcome = refused.details
        assert_sentences(outcome)
    json.dumps(outcome, allow_nan=False)


def assert_sentences(details: Mapping[str, Sequence[str]]) -> None:
    assert details
    assert all(sentences and all(sentences) for sentences in details.values())
