"""Watching what went live: figures against the version before, and going back where the rule says so."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apps.alerts.services.notices import notify
from apps.core.errors import DomainError
from apps.core.navigation import address
from apps.projects import audit
from apps.projects.types import SYSTEM
from apps.promotions.guardrail_judging import Report, Side, judge
from apps.promotions.guardrails import GuardrailConfig
from apps.promotions.models import Promotion, ReleaseRule, Watch
from apps.promotions.selectors import watch_figures
from apps.promotions.selectors import watches as selectors
from apps.promotions.services import history, rollbacks
from apps.promotions.types import CandidateName, WatchState
from apps.prompts.models import Deployment
from apps.prompts.types import EvidenceKind

log = logging.getLogger(__name__)

USUAL_HOURS = 24
LONGEST_BEFORE = timedelta(days=7)
"""The side before reaches back as long as the watch lasts; with fewer calls than `ENOUGH_BEFORE`, so long."""

ENOUGH_BEFORE = 1_000
ARRIVED_AFTER = timedelta(minutes=10)
MOST_POINTS = 100
"""So many deciding looks are kept for the chart."""


def start_watch(
    *, deployment: Deployment, promotion: Promotion | None, rule: ReleaseRule | None, now: datetime
) -> Watch | None:
    """Watch what just went live; call it in the transaction that deployed. None where nothing is to be watched: in
    environments that are not protected, and after a return to what was live before."""
    environment = deployment.environment
    is_protected = environment.is_protected or environment.slug == "production"
    if not is_protected or deployment.evidence_kind != EvidenceKind.PROMOTION.value:
        return None
    older = Watch.objects.filter(
        deployment__prompt_id=deployment.prompt_id,
        deployment__environment_id=deployment.environment_id,
        state=WatchState.WATCHING.value,
    )
    older.update(state=WatchState.ENDED.value)
    watch, _is_new = Watch.objects.get_or_create(
        deployment=deployment,
        defaults={
            "project_id": deployment.project_id,
            "promotion": promotion,
            "before": selectors.deployment_before(deployment),
            "guardrails": selectors.guardrails_of(rule).as_dict(),
            "rolls_back": rule is not None and rule.rolls_back,
            "started_at": now,
            "until": now + timedelta(hours=USUAL_HOURS if rule is None else rule.watch_hours),
        },
    )
    return watch


def look(*, now: datetime) -> int:
    """Look at each watch that is due, and go back where a breach asks for it and nobody has; how many were looked at.

    Any number of processes may do so at once: each look is claimed by a conditional update.
    """
    looked = sum(look_at(watch, now=now) for watch in selectors.list_due(now))
    for watch in selectors.list_to_roll_back():
        go_back(watch, now=now)
    return looked


def look_at(watch: Watch, *, now: datetime) -> bool:
    """One look: measure, judge, and settle. False when somebody else is at it or it is over."""
    open_one = Watch.objects.filter(pk=watch.pk, state=WatchState.WATCHING.value, looked_at=watch.looked_at)
    if not open_one.update(looked_at=now):
        return False
    config = selectors.config_from(watch.guardrails)
    before = selectors.kept_before(watch) or _measure_before(watch, config)
    after = _measure_after(watch, config, now)
    report = judge(config, before, after, taken=selectors.taken_by(watch), is_last=now >= watch.until)
    figures = {"report": report.as_dict(), "points": _points(watch, report, now)}
    # Until then the side before may still grow by calls that arrive late.
    is_final = report.decided or bool(watch.figures.get("before")) or now - watch.started_at >= ARRIVED_AFTER
    if before is not None and is_final:
        figures["before"] = before.as_dict()
    return _settle(watch, report, figures, now)


def _measure_before(watch: Watch, config: GuardrailConfig) -> Side | None:
    before = watch.before
    if before is None:
        return None
    end = before.ended_at or watch.deployment.started_at
    scores = tuple(one.name for one in config.scores)
    on = watch_figures.told_apart_by(before, watch.deployment)
    length = min(watch.until - watch.started_at, LONGEST_BEFORE)
    side = watch_figures.side_of(before, start=end - length, end=end, scores=scores, on=on)
    if side.calls < ENOUGH_BEFORE and length < LONGEST_BEFORE:
        side = watch_figures.side_of(before, start=end - LONGEST_BEFORE, end=end, scores=scores, on=on)
    return side


def _measure_after(watch: Watch, config: GuardrailConfig, now: datetime) -> Side:
    deployment = watch.deployment
    return watch_figures.side_of(
        deployment,
        start=deployment.started_at,
        end=min(now, watch.until),
        scores=tuple(one.name for one in config.scores),
        on=watch_figures.told_apart_by(deployment, watch.before),
    )


def _points(watch: Watch, report: Report, now: datetime) -> list[dict[str, Any]]:
    """What the deciding looks found, for the chart."""
    points: list[dict[str, Any]] = list(watch.figures.get("points", []))
    if report.decided:
        values = {one.key: one.after for one in report.rails}
        points.append({"at": now.isoformat(), "calls": report.after_calls, "values": values})
    return points[-MOST_POINTS:]


@transaction.atomic
def _settle(watch: Watch, report: Report, figures: dict[str, Any], now: datetime) -> bool:
    """Keep what the look found, and move the watch. A look that another one overtook leaves nothing."""
    rows = Watch.objects.select_for_update(no_key=True, of=("self",))
    current = rows.select_related("deployment", "promotion").get(pk=watch.pk)
    if current.state != WatchState.WATCHING.value or current.looked_at != now:
        return False
    state = WatchState.WATCHING
    breach = " ".join(one.sentence for one in report.breached)
    if current.deployment.ended_at is not None:
        state = WatchState.ENDED
    elif breach:
        state = WatchState.BREACHED
    elif now >= watch.until:
        state = WatchState.HEALTHY
    changes: dict[str, Any] = {"figures": figures, "state": state.value}
    if state is WatchState.BREACHED:
        changes |= {"breached_at": now, "breach": breach}
    Watch.objects.filter(pk=watch.pk).update(**changes)
    if state is WatchState.BREACHED:
        _tell_breach(watch, breach, now)
    elif state is WatchState.HEALTHY:
        _tell_end(watch, report, now)
    return True


def _tell_breach(watch: Watch, breach: str, now: datetime) -> None:
    what, where = candidate_of(watch.deployment), watch.deployment.environment.slug
    after = "Nothing was changed: look at it, and roll back if need be."
    if watch.rolls_back:
        after = "It is rolled back." if watch.before else "Nothing was live before, so it stays: look at it."
    if watch.promotion is not None:
        history.note(
            promotion=watch.promotion, kind="breached", sentence=f"A guardrail broke: {breach}", actor=SYSTEM, now=now
        )
    notify(
        project=watch.project,
        key=f"watch-{watch.uuid}-breached",
        kind="watch_breached",
        title=f"{what} breaks a guardrail in {where}",
        text=f"{breach} {after}",
        path=path_of(watch),
        level="bad",
        now=now,
    )
    audit.record(
        actor=SYSTEM,
        action="promotions.watch_breached",
        project=watch.project,
        target=watch.deployment.version,
        at=now,
        details={"environment": where, "breach": breach, "rolls_back": watch.rolls_back},
    )


def _tell_end(watch: Watch, report: Report, now: datetime) -> None:
    if watch.promotion is None:
        return
    sentence = f"Watched to the end, and no guardrail broke over {report.after_calls:,} calls."
    if not report.measured:
        sentence = f"Watched to the end, but {report.after_calls:,} calls are too few to tell anything."
    history.note(promotion=watch.promotion, kind="watched", sentence=sentence, actor=SYSTEM, now=now)


def go_back(watch: Watch, *, now: datetime) -> bool:
    """Roll back a breached deployment, once: whoever is second finds it done. False when there is nothing to do.

    A rollback that fails is told once and tried again at the next look.
    """
    try:
        _go_back(watch, now)
    except rollbacks.MovedOn:
        return False
    except DomainError as error:
        log.warning("watch %s could not roll back: %s", watch.uuid, error.text)
        what, where = candidate_of(watch.deployment), watch.deployment.environment.slug
        notify(
            project=watch.project,
            key=f"watch-{watch.uuid}-stuck",
            kind="watch_stuck",
            title=f"{what} could not be rolled back in {where}",
            text=f"{error.text} It is tried again; a person may do better.",
            path=path_of(watch),
            role="editor",
            level="bad",
            now=now,
        )
        return False
    return True


@transaction.atomic
def _go_back(watch: Watch, now: datetime) -> None:
    """Going back takes the lock of the prompt, so of two who are here at once the second finds that it moved on."""
    rollback = rollbacks.roll_back(
        prompt=watch.deployment.prompt,
        environment=watch.deployment.environment,
        actor=SYSTEM,
        now=now,
        reason=watch.breach,
        is_automatic=True,
        away_from=watch.deployment,
    )
    Watch.objects.filter(pk=watch.pk, rollback=None).update(rollback=rollback)


def candidate_of(deployment: Deployment) -> CandidateName:
    """What was deployed, in words."""
    return CandidateName(deployment.prompt.name, str(deployment.version.number), deployment.model)


def path_of(watch: Watch) -> str:
    """Where its page is; empty while there is none."""
    place = address("watches", watch.project.slug)
    return f"{place}/{watch.uuid}" if place else ""
