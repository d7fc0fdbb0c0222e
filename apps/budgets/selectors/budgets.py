"""Budgets as they stand: spent, what is ahead, and what was told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.budgets import thresholds
from apps.budgets.forecasting import Forecast, Range, forecast
from apps.budgets.models import Budget, BudgetAlert, BudgetLook
from apps.budgets.scopes import SpendScope
from apps.budgets.selectors.spend import DaySpend, Spend, Wanted, read_days, read_spends
from apps.budgets.spend_periods import Period, PeriodKind, before, period_at, period_of
from apps.core.clock import zone_named
from apps.core.errors import NotFound
from apps.projects.models import Project

HISTORY_DAYS = 63
"""So much of the past a forecast looks at."""

PREVIEW_PERIODS = {PeriodKind.DAY: 30, PeriodKind.MONTH: 12}


@dataclass(frozen=True)
class Status:
    """A budget within one period. `ahead` is the whole period's spend as forecast; None where nothing can be said."""

    budget: Budget
    period: Period
    spend: Spend
    alerts: Sequence[BudgetAlert] = ()
    ahead: Range | None = None
    crosses_on: date | None = None

    @property
    def share(self) -> Decimal:
        """The spend as a share of the amount."""
        return thresholds.share(self.spend.cost_usd, self.budget.amount_usd)

    @property
    def percent(self) -> Decimal:
        """The share in percent, for the bar."""
        return self.share * 100

    @property
    def ahead_percent(self) -> float | None:
        """The forecast's middle in percent of the amount, for the bar."""
        return None if self.ahead is None else self.ahead.middle / float(self.budget.amount_usd) * 100

    @property
    def left_usd(self) -> Decimal:
        """What may still be spent; not below zero."""
        return max(Decimal(0), self.budget.amount_usd - self.spend.cost_usd)

    @property
    def state(self) -> str:
        """spent, warn (80 % and more), or fine."""
        return "spent" if self.share >= 1 else "warn" if self.share >= Decimal("0.8") else "fine"


def list_budgets(project: Project) -> list[Budget]:
    """The project's budgets, by name; without those that were archived."""
    return list(Budget.objects.filter(project=project, archived_at=None).order_by("name", "pk"))


def get_budget(project: Project, uuid: UUID) -> Budget:
    """The project's budget of this id, archived or not. Raises NotFound."""
    found = Budget.objects.select_related("project").filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such budget in this project.")
    return found


def list_active_by_project() -> dict[Project, list[Budget]]:
    """Every budget that is evaluated, by its project."""
    found: dict[Project, list[Budget]] = defaultdict(list)
    for budget in Budget.objects.select_related("project").filter(archived_at=None).order_by("project_id", "pk"):
        found[budget.project].append(budget)
    return found


def last_look() -> datetime | None:
    """When all budgets were evaluated last; None for never."""
    return BudgetLook.objects.values_list("at", flat=True).first()


def has_budgets() -> bool:
    """Whether anything is to be evaluated at all."""
    return Budget.objects.filter(archived_at=None).exists()


def read_statuses(project: Project, budgets: Sequence[Budget], *, now: datetime, ahead: bool = False) -> list[Status]:
    """Each budget in its current period: two queries for all, one for what was told, and with `ahead` a forecast
    for each month's."""
    zone = zone_named(project.timezone)
    periods = [period_at(PeriodKind(each.period), now, zone) for each in budgets]
    wanted = [Wanted(each.scope, period.start, period.end) for each, period in zip(budgets, periods, strict=True)]
    spends = read_spends(project, wanted)
    alerts_of: dict[tuple[int, date], list[BudgetAlert]] = defaultdict(list)
    rows = BudgetAlert.objects.filter(budget__in=budgets, period_on__in={each.first for each in periods})
    for alert in rows.order_by("at", "threshold", "pk"):
        alerts_of[alert.budget_id, alert.period_on].append(alert)
    found = []
    for budget, period, spend in zip(budgets, periods, spends, strict=True):
        alerts = alerts_of[budget.pk, period.first]
        outlook = look_ahead(project, budget, period, spend, now=now) if ahead else Outlook()
        found.append(Status(budget, period, spend, alerts, outlook.total, outlook.crosses_on))
    return found


@dataclass(frozen=True)
class Outlook:
    """What a period comes to. Everything is None where the history is too short or the period is a day."""

    total: Range | None = None
    crosses_on: date | None = None
    surely_crosses_on: date | None = None
    """By the low bound: in nine of ten cases it is reached by then."""
    forecast: Forecast | None = None
    days: Sequence[DaySpend] = field(default_factory=list)

    @property
    def low_usd(self) -> Decimal | None:
        """The low bound as money."""
        return None if self.total is None else Decimal(str(self.total.low))

    @property
    def middle_usd(self) -> Decimal | None:
        """The median as money."""
        return None if self.total is None else Decimal(str(self.total.middle))

    @property
    def high_usd(self) -> Decimal | None:
        """The high bound as money."""
        return None if self.total is None else Decimal(str(self.total.high))


def look_ahead(
    project: Project,
    budget: Budget,
    period: Period,
    spend: Spend,
    *,
    now: datetime,
    already: Sequence[DaySpend] | None = None,
) -> Outlook:
    """The forecast for the period of a month, from the daily spend before it and within it.

    `already` are days that were read before, those of the last HISTORY_DAYS and more.
    """
    today = now.astimezone(zone_named(project.timezone)).date()
    if period.kind is PeriodKind.DAY or not period.first <= today <= period.last:
        return Outlook()
    first = min(period.first, today - timedelta(days=HISTORY_DAYS))
    days = read_days(project, budget.scope, first=first, last=today) if already is None else already
    days = [each for each in days if first <= each.day <= today]
    *past, current = days
    found = forecast(
        [float(each.cost_usd) for each in past],
        first=first,
        days=(period.last - today).days + 1,
        known_today=float(current.cost_usd),
    )
    within = [each for each in days if each.day >= period.first]
    if found is None:
        return Outlook(days=within)
    known = float(sum((each.cost_usd for each in within if each.day < today), Decimal(0)))
    middle, low = found.crossing(known, float(budget.amount_usd))
    is_over = spend.cost_usd >= budget.amount_usd
    return Outlook(
        found.total(known), None if is_over else middle, None if is_over else low, forecast=found, days=within
    )


@dataclass(frozen=True)
class PastPeriod:
    """A period that is over, or is running, and the thresholds that it reached."""

    period: Period
    spent_usd: Decimal
    calls: int
    reached: Sequence[int]


@dataclass(frozen=True)
class Preview:
    """What a budget would have told in the past, oldest first; `matches` is False where its scope had no call."""

    periods: Sequence[PastPeriod]
    calls: int
    days: Sequence[DaySpend]

    @property
    def matches(self) -> bool:
        """Whether any call of the time looked at counts against it."""
        return self.calls > 0

    def status_of(self, budget: Budget) -> Status:
        """The budget in the last of these periods, by the days that were read: local days make up a period exactly."""
        period = self.periods[-1].period
        within = [each for each in self.days if period.first <= each.day <= period.last]
        cost = sum((each.cost_usd for each in within), Decimal(0))
        calls, unpriced = sum(each.calls for each in within), sum(each.unpriced_calls for each in within)
        return Status(budget, period, Spend(cost, calls, unpriced))

    def times(self, threshold: int) -> int:
        """In how many of the periods the threshold was reached."""
        return sum(threshold in each.reached for each in self.periods)


def preview(
    project: Project,
    *,
    scope: SpendScope,
    kind: PeriodKind,
    amount_usd: Decimal,
    at: Sequence[int],
    now: datetime,
) -> Preview:
    """The last 30 days or 12 months as the budget would have seen them."""
    zone = zone_named(project.timezone)
    period = period_at(kind, now, zone)
    periods = [period]
    while len(periods) < PREVIEW_PERIODS[kind]:
        periods.append(before(periods[-1], zone))
    periods.reverse()
    days = read_days(project, scope, first=periods[0].first, last=periods[-1].last)
    spent: dict[date, Decimal] = defaultdict(Decimal)
    calls: dict[date, int] = defaultdict(int)
    for each in days:
        begin = period_of(kind, each.day, zone).first
        spent[begin] += each.cost_usd
        calls[begin] += each.calls
    found = [
        PastPeriod(one, spent[one.first], calls[one.first], thresholds.reached(spent[one.first], amount_usd, at))
        for one in periods
    ]
    return Preview(found, sum(calls.values()), days)


def list_told(budget: Budget, limit: int = 50) -> list[BudgetAlert]:
    """What was told of it, newest first."""
    return list(budget.alerts.order_by("-at", "-threshold")[:limit])


def main_budgets(project: Project) -> dict[str, Budget]:
    """The budgets that are about all of the project's spend: the smallest of a day and of a month."""
    rows = Budget.objects.filter(
        project=project, archived_at=None, environment="", feature="", provider="", model="", source="", user_id=""
    )
    found: dict[str, Budget] = {}
    for one in rows.order_by("amount_usd"):
        found.setdefault(one.period, one)
    return found
