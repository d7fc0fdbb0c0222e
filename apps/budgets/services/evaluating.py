"""Evaluating budgets: each threshold is told once in a period, whoever looks, and however late calls come.

What is told is a row that exists at most once, and its notice is made in the same transaction; so a process that dies
between deciding and telling has done neither. The budget's row is locked meanwhile, and what was read for an earlier
revision of it is thrown away.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from apps.alerts.services.notices import notify
from apps.budgets import thresholds
from apps.budgets.models import Budget, BudgetAlert, BudgetLook
from apps.budgets.selectors import budgets as selectors
from apps.budgets.selectors.spend import Spend, Wanted, read_spends
from apps.budgets.spend_periods import Period, PeriodKind, before, period_at
from apps.core import money
from apps.core.clock import zone_named
from apps.core.navigation import address
from apps.projects.models import Project

log = logging.getLogger(__name__)

GRACE = timedelta(hours=48)
"""So long after its end a period is still looked at, for calls that are told late."""

FORECAST_EVERY = timedelta(minutes=10)
FORECAST = "forecast"


def evaluate_all(*, now: datetime) -> int:
    """Evaluate every budget; how many things were told. A project that fails is logged and does not hold the others."""
    told = 0
    for project, budgets in selectors.list_active_by_project().items():
        try:
            told += evaluate(project, budgets, now=now)
        except Exception:
            # One project's trouble must not silence the alerts of the others; it is tried again at the next look.
            log.exception("the budgets of project %s could not be evaluated", project.slug)
    BudgetLook.objects.update_or_create(id=1, defaults={"at": now})
    return told


def evaluate(project: Project, budgets: Sequence[Budget], *, now: datetime) -> int:
    """Evaluate these budgets of one project; how many things were told."""
    zone = zone_named(project.timezone)
    places: list[tuple[Budget, Period]] = []
    for budget in budgets:
        current = period_at(PeriodKind(budget.period), now, zone)
        earlier = before(current, zone)
        if now < earlier.end + GRACE and budget.created_at < earlier.end:
            places.append((budget, earlier))
        places.append((budget, current))
    spends = read_spends(project, [Wanted(budget.scope, each.start, each.end) for budget, each in places])
    told = 0
    for (budget, period), spend in zip(places, spends, strict=True):
        reached = thresholds.reached(spend.cost_usd, budget.amount_usd, budget.thresholds)
        if reached and set(reached) - _told(budget, period):
            told += _tell(budget, period, spend, reached, now)
        if period.end > now:
            told += _look_ahead(project, budget, period, spend, now)
    return told


def _told(budget: Budget, period: Period) -> set[int]:
    rows = BudgetAlert.objects.filter(budget=budget, period_on=period.first, kind="threshold", rearmed_at=None)
    return set(rows.values_list("threshold", flat=True))


def _locked(budget: Budget) -> bool:
    """Hold the budget's row; False when it is not what was looked at any more."""
    rows = Budget.objects.select_for_update(no_key=True).filter(pk=budget.pk, archived_at=None)
    return rows.filter(revision=budget.revision).first() is not None


@transaction.atomic
def _tell(budget: Budget, period: Period, spend: Spend, reached: Iterable[int], now: datetime) -> int:
    """Tell the thresholds that were not told yet, the lowest first; how many."""
    if not _locked(budget):
        return 0
    missing = [each for each in reached if each not in _told(budget, period)]
    for threshold in missing:
        _keep(budget, period, spend, now, kind="threshold", threshold=threshold)
        notify(
            project=budget.project,
            key=f"budget:{budget.uuid}:{period.key}:{threshold}:{budget.revision}",
            kind="budget",
            title=f"{budget.name}: {threshold} % of {_period_word(period)} budget is spent",
            text=_sentence(budget, period, spend),
            path=path_of(budget),
            level=thresholds.level_of(threshold),
            now=now,
        )
    return len(missing)


def _look_ahead(project: Project, budget: Budget, period: Period, spend: Spend, now: datetime) -> int:
    """Tell once in a period on which day the amount will be reached: when that is so in nine of ten cases."""
    if period.kind is PeriodKind.DAY or spend.cost_usd >= budget.amount_usd or not spend.calls:
        return 0
    rows = BudgetAlert.objects.filter(budget=budget, period_on=period.first, kind=FORECAST, rearmed_at=None)
    if rows.exists():
        return 0
    outlook = selectors.look_ahead(project, budget, period, spend, now=now)
    if outlook.surely_crosses_on is None or outlook.crosses_on is None or outlook.total is None:
        return 0
    return _tell_ahead(budget, period, spend, outlook, outlook.crosses_on, now)


@transaction.atomic
def _tell_ahead(
    budget: Budget, period: Period, spend: Spend, outlook: selectors.Outlook, crosses_on: date, now: datetime
) -> int:
    rows = BudgetAlert.objects.filter(budget=budget, period_on=period.first, kind=FORECAST, rearmed_at=None)
    if not _locked(budget) or rows.exists():
        return 0
    assert outlook.total is not None
    _keep(budget, period, spend, now, kind=FORECAST, threshold=0, crosses_on=crosses_on)
    low, high = (money.display(Decimal(str(each))) for each in (outlook.total.low, outlook.total.high))
    notify(
        project=budget.project,
        key=f"budget:{budget.uuid}:{period.key}:{FORECAST}:{budget.revision}",
        kind="budget",
        title=f"{budget.name}: the budget will be spent by {crosses_on:%d %B}",
        text=f"{_sentence(budget, period, spend)} By the daily spend so far the period comes to {low} to {high} "
        "in eight of ten cases.",
        path=path_of(budget),
        level="warn",
        now=now,
    )
    return 1


def _keep(
    budget: Budget,
    period: Period,
    spend: Spend,
    now: datetime,
    *,
    kind: str,
    threshold: int,
    crosses_on: date | None = None,
) -> None:
    BudgetAlert.objects.create(
        budget=budget,
        period_on=period.first,
        kind=kind,
        threshold=threshold,
        amount_usd=budget.amount_usd,
        spent_usd=spend.cost_usd,
        unpriced_calls=spend.unpriced_calls,
        crosses_on=crosses_on,
        at=now,
    )


def _period_word(period: Period) -> str:
    return "the day's" if period.kind is PeriodKind.DAY else "the month's"


def _sentence(budget: Budget, period: Period, spend: Spend) -> str:
    what = ", ".join(value for _, value in budget.scope.given()) or "the whole project"
    unpriced = f" The cost of {spend.unpriced_calls:,} calls is unknown and not in it." if spend.unpriced_calls else ""
    return (
        f"{money.display(spend.cost_usd)} of {money.display(budget.amount_usd)} spent in {period.key} by {what}, "
        f"in {spend.calls:,} calls.{unpriced}"
    )


def path_of(budget: Budget) -> str:
    """The budget's page."""
    place = address("budgets", budget.project.slug)
    return f"{place}/{budget.uuid}" if place else ""
