"""Scoring one case now, to see what a scorer says before anything hangs on it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.core import clock, egress
from apps.core.errors import Invalid
from apps.evals.models import ScorerVersion
from apps.evals.scoring.kinds import Config, ScorerKind
from apps.evals.scoring.registry import KINDS, score_with
from apps.evals.services import asking
from apps.evals.types import Case, Score, scorer_failed
from apps.projects.models import Project

log = logging.getLogger(__name__)

SECONDS = 90


@dataclass(frozen=True, slots=True)
class Tried:
    """A score, and what it took. `cost_usd` is None when it is not known."""

    score: Score
    is_passed: bool | None
    calls: int
    cost_usd: Decimal | None
    trace_id: str


def try_version(*, project: Project, version: ScorerVersion, case: Case, now: datetime) -> Tried:
    """What this version of a scorer says of the case. A judge is asked at once, for 90 seconds at most."""
    kind = KINDS.get(version.scorer.kind)
    if kind is None:
        raise Invalid(kind=[f"The kind {version.scorer.kind} is not installed here."])
    return _tried(project, kind, version, case, now)


def try_config(
    *, project: Project, kind: ScorerKind, config: Config, pass_mark: float, case: Case, now: datetime
) -> Tried:
    """What a scorer with these settings would say of the case. Raises BadConfig. An outside scorer gets no key."""
    read = dict(kind.read({**config, "secret": ""} if kind.group == "own" else config))
    return _tried(project, kind, ScorerVersion(config=read, pass_mark=pass_mark), case, now)


def _tried(project: Project, kind: ScorerKind, version: ScorerVersion, case: Case, now: datetime) -> Tried:
    if kind.ask is None:
        score = score_with(kind, case, version.config)
        return Tried(score, _passed(score, version.pass_mark), 0, Decimal(0), "")
    asker = asking.desk_for(project, [version], now=now).asker()
    score = egress.run_in_loop(_asked(kind, case, version.config, asker))
    asking.tell(project, [asker], now=clock.now())
    spent = asker.spent
    cost = None if spent.unpriced else spent.usd
    return Tried(score, _passed(score, version.pass_mark), spent.calls, cost, asker.trace_id if spent.calls else "")


async def _asked(kind: ScorerKind, case: Case, config: Config, asker: asking.ModelAsker) -> Score:
    assert kind.ask is not None
    try:
        async with asyncio.timeout(SECONDS):
            return await kind.ask(case, config, asker)
    except TimeoutError:
        return scorer_failed(f"The scorer took longer than {SECONDS} s.")
    except Exception as error:
        log.exception("a scorer raised while it was tried")
        return scorer_failed(f"The scorer failed: {type(error).__name__}.")


def _passed(score: Score, pass_mark: float) -> bool | None:
    return None if score.value is None else score.value >= pass_mark
