"""What the scorers of a run say of one answer. Nothing here raises for what is in an answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.evals.scoring.registry import score_with
from apps.evals.services.asking import ModelAsker
from apps.evals.services.executing_plan import ChosenScorer, Item, Plan
from apps.evals.types import Case, Score, ScoreState, not_scored, scorer_failed
from apps.providers.calls import ToolCall

log = logging.getLogger(__name__)

QUICK = frozenset({"exact", "normalized", "contains", "numeric", "latency", "cost", "classification", "json_valid"})
"""Kinds that take microseconds for a short answer, so that they need no thread."""
SHORT = 20_000
MOST_REASON, MOST_LABEL, MOST_DETAILS = 20_000, 200, 256 * 1024


@dataclass(frozen=True, slots=True)
class Judged:
    """The scores as rows to be, what they come to together, and who asked models for them."""

    scores: list[dict[str, Any]]
    value: float | None
    is_passed: bool | None
    askers: tuple[ModelAsker, ...] = ()
    usd: Decimal = Decimal(0)
    unpriced: int = 0


def read_tool_calls(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Calls of tools as they are kept: the arguments as values where they can be read, else as text."""
    return [{"id": one.id, "name": one.name, "arguments": _arguments(one.arguments)} for one in calls]


def _arguments(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def case_of(item: Item, settled: Mapping[str, Any]) -> Case:
    """What scorers look at. `settled` has the columns of the result."""
    row = item.row
    return Case(
        variables=row["variables"],
        messages=() if item.request is None else item.request.messages,
        expected=row["expected"],
        context=tuple(row["context"]),
        metadata=row["metadata"],
        output=settled["output"],
        tool_calls=tuple(_readable(one) for one in settled["tool_calls"]),
        finish_reason=settled["finish_reason"] or None,
        steps=tuple(row["steps"]),
        latency_ms=settled["latency_ms"],
        ttft_ms=settled["ttft_ms"],
        cost_usd=settled["cost_usd"],
    )


def _readable(call: Mapping[str, Any]) -> dict[str, Any]:
    """A call of a tool as scorers get it; those that were brought along may have their arguments as text."""
    arguments = call.get("arguments", {})
    return {"name": call["name"], "arguments": _arguments(arguments) if isinstance(arguments, str) else arguments}


def is_quick(plan: Plan, case: Case) -> bool:
    """True when scoring takes no longer than handing it to a thread would."""
    if any(one.kind_name not in QUICK for one in plan.scorers):
        return False
    expected = len(case.expected) if isinstance(case.expected, str) else len(str(case.expected)[:SHORT])
    return len(case.output) + expected < SHORT


async def judge(plan: Plan, item: Item, settled: Mapping[str, Any], threads: ThreadPoolExecutor) -> Judged:
    """Ask all scorers of the run, one after the other."""
    case = case_of(item, settled)
    if is_quick(plan, case):
        return _judged(plan, item, [(one, _computed(one, case), None) for one in plan.scorers])
    loop = asyncio.get_running_loop()
    found: list[tuple[ChosenScorer, Score, ModelAsker | None]] = []
    for one in plan.scorers:
        if one.kind is not None and one.kind.ask is not None:
            # Beside the answer's span and not below it: a call with calls below it counts as repeating their usage.
            asker = plan.desk.asker(trace_id=settled["trace_id"])
            found.append((one, await _asked(one, case, asker), asker))
        else:
            found.append((one, await loop.run_in_executor(threads, _computed, one, case), None))
    return _judged(plan, item, found)


def _computed(one: ChosenScorer, case: Case) -> Score:
    if one.kind is None:
        return scorer_failed(f"The kind of scorer {one.kind_name} is not installed here any more.")
    return _lacking(one, case) or score_with(one.kind, case, one.config)


async def _asked(one: ChosenScorer, case: Case, asker: ModelAsker) -> Score:
    assert one.kind is not None
    assert one.kind.ask is not None
    lacking = _lacking(one, case)
    if lacking is not None:
        return lacking
    try:
        score: Score = await one.kind.ask(case, one.config, asker)
    except Exception as error:
        # A scorer of somebody else's package, or a fault in one of ours: the answer stands, only its score fails.
        log.exception("a scorer that asks raised")
        return scorer_failed(f"The scorer failed: {type(error).__name__}: {str(error)[:200]}")
    if score.state is ScoreState.SCORED and (score.value is None or not 0.0 <= score.value <= 1.0):
        return scorer_failed(f"The scorer said {score.value}; a score lies between 0 and 1.")
    return score


LACKING = {
    "expected": "The example has no expected output.",
    "context": "The example has no documents.",
    "steps": "The output brought no steps.",
    "other_output": "There is no other run to compare with.",
}


def _lacking(one: ChosenScorer, case: Case) -> Score | None:
    """Not scored, when the scorer needs what is not there. An answer without a call of a tool is the answer's fault."""
    assert one.kind is not None
    has = {
        "expected": case.expected is not None,
        "context": bool(case.context),
        "steps": bool(case.steps),
        "other_output": case.other_output is not None,
    }
    for need, sentence in LACKING.items():
        if need in one.kind.needs and not has[need]:
            return not_scored(sentence)
    return None


def _judged(plan: Plan, item: Item, found: Sequence[tuple[ChosenScorer, Score, ModelAsker | None]]) -> Judged:
    askers = tuple(asker for _, _, asker in found if asker is not None)
    value, is_passed = together([(score, one.threshold) for one, score, _ in found])
    return Judged(
        scores=[_row(plan, item, one, score, asker) for one, score, asker in found],
        value=value,
        is_passed=is_passed,
        askers=askers,
        usd=sum((asker.spent.usd for asker in askers), Decimal(0)),
        unpriced=sum(asker.spent.unpriced for asker in askers),
    )


def together(scores: Sequence[tuple[Score, float]]) -> tuple[float | None, bool | None]:
    """The worst value, and whether each score reaches its threshold. Neither can be said when a scorer failed, except
    that an answer which misses a threshold has not passed; scorers that do not apply are left out."""
    values = [(score.value, threshold) for score, threshold in scores if score.value is not None]
    has_failed = any(score.state is ScoreState.ERROR for score, _ in scores)
    worst = min((value for value, _ in values), default=None)
    if any(value < threshold for value, threshold in values):
        return (None if has_failed else worst), False
    if has_failed or not values:
        return None, None
    return worst, True


def _row(plan: Plan, item: Item, one: ChosenScorer, score: Score, asker: ModelAsker | None) -> dict[str, Any]:
    priced = asker is not None and asker.spent.calls > 0 and asker.spent.unpriced == 0
    return {
        "project_id": plan.run.project_id,
        "run_id": plan.run.pk,
        "result_id": item.id,
        "scorer_id": one.row_id,
        "state": score.state.value,
        "value": score.value,
        "label": clean(score.label, MOST_LABEL),
        "reason": clean(score.reason, MOST_REASON),
        "details": _details(score.details),
        "cost_usd": asker.spent.usd if priced and asker is not None else None,
        "trace_id": asker.trace_id if asker is not None and asker.spent.calls else "",
    }


def _details(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details as JSON that PostgreSQL holds; too many of them are left out."""
    try:
        text = json.dumps(details, allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError):
        return {}
    if len(text) > MOST_DETAILS:
        return {"left_out": f"{len(text)} characters of details"}
    if "\\u0000" in text or "\\ud" in text:
        text = clean(json.dumps(details, default=str, ensure_ascii=False).replace("\\u0000", "\ufffd"), MOST_DETAILS)
    read: dict[str, Any] = json.loads(text)
    return read


def clean(text: str, most: int) -> str:
    """The text as PostgreSQL can hold it."""
    held = str(text)[:most].replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return held.encode("utf-8", "replace").decode("utf-8")
