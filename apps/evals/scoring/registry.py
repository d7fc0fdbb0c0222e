"""All kinds of scorers by name: those of the product, and those that other packages bring by entry point.

A package brings a scorer as an entry point of the group `prodworthy.scorers` that is a ScorerKind. It cannot take the
name of another, and one that fails to load is left out, logged and named in PROBLEMS; nothing else suffers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from apps.evals.scoring import (
    ceilings,
    citations,
    classes,
    embeddings,
    json_fields,
    json_outputs,
    judges,
    ngram_metrics,
    numbers,
    own,
    retrieval_judges,
    similarity,
    texts,
    tool_calls,
    trajectory,
)
from apps.evals.scoring.kinds import Config, ScorerKind
from apps.evals.types import Case, Score, ScoreState, scorer_failed

logger = logging.getLogger(__name__)

GROUP = "prodworthy.scorers"

# One line for each module that has kinds.
BUILT_IN: tuple[ScorerKind, ...] = (
    *texts.KINDS,
    *numbers.KINDS,
    *json_outputs.KINDS,
    *json_fields.KINDS,
    *tool_calls.KINDS,
    *similarity.KINDS,
    *ngram_metrics.KINDS,
    *classes.KINDS,
    *citations.KINDS,
    *trajectory.KINDS,
    *ceilings.KINDS,
    *judges.KINDS,
    *retrieval_judges.KINDS,
    *embeddings.KINDS,
    *own.KINDS,
)


def collect(built_in: Iterable[ScorerKind], brought: Iterable[EntryPoint]) -> tuple[dict[str, ScorerKind], list[str]]:
    """The kinds by name, and what was wrong with those of other packages, as sentences."""
    kinds = {kind.name: kind for kind in built_in}
    problems: list[str] = []
    for point in sorted(brought, key=lambda point: (point.name, point.value)):
        try:
            kind = point.load()
        except Exception as error:
            logger.exception("scorer_not_loaded", extra={"entry_point": point.name})
            problems.append(f"The scorer {point.name} ({point.value}) did not load: {type(error).__name__}: {error}")
            continue
        problem = _problem(kind, kinds)
        if problem:
            logger.error("scorer_refused", extra={"entry_point": point.name, "problem": problem})
            problems.append(f"The scorer {point.name} ({point.value}) is left out: {problem}")
        else:
            kinds[kind.name] = kind
    return kinds, problems


def _problem(kind: object, kinds: dict[str, ScorerKind]) -> str:
    if not isinstance(kind, ScorerKind):
        return "it is no ScorerKind."
    if kind.name in kinds:
        return f"there is a scorer {kind.name} already."
    if (kind.score is None) == (kind.ask is None):
        return "exactly one of score and ask must be set."
    return ""


KINDS, PROBLEMS = collect(BUILT_IN, entry_points(group=GROUP))


def score_with(kind: ScorerKind, case: Case, config: Config) -> Score:
    """The score of a computed kind. What the scorer of another package raises, or says outside 0..1, is an error of
    that scorer. Raises ValueError for a kind that asks."""
    if kind.score is None:
        raise ValueError(f"{kind.name} asks a model or a service")
    try:
        score: object = kind.score(case, config)
    except Exception as error:
        logger.exception("scorer_raised", extra={"kind": kind.name})
        return scorer_failed(f"The scorer failed: {type(error).__name__}: {str(error)[:200]}")
    if not isinstance(score, Score):
        return scorer_failed("The scorer did not answer with a score.")
    if score.state is ScoreState.SCORED and (score.value is None or not 0.0 <= score.value <= 1.0):
        return scorer_failed(f"The scorer said {score.value}; a score lies between 0 and 1.")
    return score
