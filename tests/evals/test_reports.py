"""Whether a run passed, without a gate."""

from __future__ import annotations

import pytest

from apps.evals.reports import verdict_of
from apps.evals.summary import Item, ItemScore, ScorerFacts, summarize
from apps.evals.types import GateVerdict, RunState, ScoreState

SCORED = ItemScore(ScoreState.SCORED, 1.0)
LOW = ItemScore(ScoreState.SCORED, 0.0)
NOT = ItemScore(ScoreState.NOT_SCORED, None, reason="nothing is expected")
ERROR = ItemScore(ScoreState.ERROR, None, reason="no answer")


def item(key: str, score: ItemScore | None) -> Item:
    """A result of one scorer; None: no output."""
    if score is None:
        return Item(key, {}, error_code="rate_limited")
    return Item(key, {"exact": score}, is_passed=None if score.value is None else score.value >= 0.5)


@pytest.mark.parametrize(
    ("state", "scores", "expected"),
    [
        (RunState.FINISHED, [SCORED, SCORED], GateVerdict.PASSED),
        (RunState.FINISHED, [SCORED, LOW], GateVerdict.FAILED),
        (RunState.FINISHED, [NOT, NOT], GateVerdict.CANNOT_TELL),
        (RunState.FINISHED, [SCORED, NOT], GateVerdict.CANNOT_TELL),
        (RunState.FINISHED, [SCORED, ERROR], GateVerdict.CANNOT_TELL),
        (RunState.FINISHED, [SCORED, None], GateVerdict.CANNOT_TELL),
        (RunState.OVER_BUDGET, [SCORED, SCORED], GateVerdict.CANNOT_TELL),
        (RunState.CANCELED, [LOW], GateVerdict.FAILED),
        (RunState.FINISHED, [], GateVerdict.CANNOT_TELL),
    ],
)
def test_only_a_whole_run_without_a_failure_passes(
    state: RunState, scores: list[ItemScore | None], expected: GateVerdict
) -> None:
    """What is missing never passes."""
    items = [item(str(place), score) for place, score in enumerate(scores)]
    assert verdict_of(state, summarize(items, [ScorerFacts("exact", "exact")])) is expected
