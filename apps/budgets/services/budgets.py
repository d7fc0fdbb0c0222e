"""Making and changing budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from apps.budgets import thresholds
from apps.budgets.models import Budget, BudgetAlert
from apps.budgets.scopes import SCOPE_FIELDS, SpendScope
from apps.budgets.selectors.spend import read_spend
from apps.budgets.spend_periods import PeriodKind, period_at
from apps.core import money
from apps.core.clock import zone_named
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor

MOST_BUDGETS = 200


class BudgetExists(Conflict):
    """Another budget has the name."""

    code = "budget_exists"
    message = "There is a budget named {name} already. Choose another name, or change that one."


class BudgetArchived(Conflict):
    """An archived budget does not change."""

    code = "budget_archived"
    message = "This budget is archived. Make a new one."


class TooManyBudgets(Conflict):
    """More than anybody reads."""

    code = "too_many_budgets"
    message = "A project has at most {most} budgets. Archive one first."


@dataclass(frozen=True, slots=True)
class Promise:
    """What a budget says. Thresholds are percent, told in ascending order."""

    name: str
    period: PeriodKind
    amount_usd: Decimal
    is_hard: bool
    thresholds: Sequence[int]
    scope: SpendScope

    def checked(self) -> Promise:
        """The same, in order. Raises Invalid with a sentence for each field."""
        problems: dict[str, list[str]] = {}
        if not self.name.strip():
            problems["name"] = ["Give it a name."]
        if not self.amount_usd.is_finite() or not Decimal("0.000001") <= self.amount_usd <= Decimal(10**12):
            problems["amount_usd"] = ["An amount above 0, in US dollars, with at most 6 places."]
        chosen = sorted(set(self.thresholds))
        if not chosen or len(chosen) > thresholds.MOST or not 1 <= chosen[0] <= chosen[-1] <= thresholds.HIGHEST:
            problems["thresholds"] = [f"One to {thresholds.MOST} whole percentages from 1 to {thresholds.HIGHEST}."]
        if problems:
            raise Invalid(None, **problems)
        return Promise(self.name.strip(), self.period, self.amount_usd, self.is_hard, chosen, self.scope)


@transaction.atomic
def make_budget(*, project: Project, promise: Promise, actor: Actor, now: datetime) -> Budget:
    """Make a budget; it is evaluated from now on, the running period included. Raises Invalid, BudgetExists or
    TooManyBudgets."""
    promise = promise.checked()
    if Budget.objects.filter(project=project, archived_at=None).count() >= MOST_BUDGETS:
        raise TooManyBudgets(most=MOST_BUDGETS)
    budget = Budget(project=project, created_by=actor.name[:254], created_at=now, changed_at=now)
    _fill(budget, promise)
    _save(budget)
    audit.record(actor=actor, action="budgets.made", project=project, target=budget, at=now, details=_details(promise))
    return budget


@transaction.atomic
def change_budget(*, budget: Budget, promise: Promise, actor: Actor, now: datetime) -> Budget:
    """Change what it says. A raised amount re-arms the thresholds that are out of reach again; what was told before
    stays told, and nothing is told twice for the same reach. Raises Invalid, BudgetExists or BudgetArchived."""
    promise = promise.checked()
    budget = Budget.objects.select_related("project").select_for_update(of=("self",)).get(pk=budget.pk)
    if budget.archived_at is not None:
        raise BudgetArchived
    is_other = (budget.period, budget.scope) != (promise.period.value, promise.scope)
    before = budget.amount_usd
    _fill(budget, promise)
    budget.revision += 1
    budget.changed_at = now
    _save(budget)
    _rearm(budget, is_other=is_other, now=now)
    details = {**_details(promise), "before": money.as_json(before)}
    audit.record(actor=actor, action="budgets.changed", project=budget.project, target=budget, at=now, details=details)
    return budget


@transaction.atomic
def archive_budget(*, budget: Budget, actor: Actor, now: datetime) -> None:
    """End it: it is evaluated no more, and what it told stays readable. Repeating it changes nothing."""
    if Budget.objects.filter(pk=budget.pk, archived_at=None).update(archived_at=now, changed_at=now):
        audit.record(actor=actor, action="budgets.archived", project=budget.project, target=budget, at=now)


def _fill(budget: Budget, promise: Promise) -> None:
    budget.name, budget.period = promise.name[:120], promise.period.value
    budget.amount_usd, budget.is_hard = promise.amount_usd, promise.is_hard
    budget.thresholds = list(promise.thresholds)
    for name in SCOPE_FIELDS:
        setattr(budget, name, getattr(promise.scope, name))


def _save(budget: Budget) -> None:
    try:
        with transaction.atomic():
            budget.save()
    except IntegrityError as error:
        if "budgets_budget_name_once" in str(error):
            raise BudgetExists(name=budget.name) from error
        raise


def _rearm(budget: Budget, *, is_other: bool, now: datetime) -> None:
    """Let go of what was told in the running period and is out of reach now; of all, where the budget is another."""
    period = period_at(PeriodKind(budget.period), now, zone_named(budget.project.timezone))
    rows = BudgetAlert.objects.filter(budget=budget, rearmed_at=None)
    if is_other:
        rows.update(rearmed_at=now)
        return
    rows = rows.filter(period_on=period.first)
    if not rows.exists():
        return
    spend = read_spend(budget.project, budget.scope, start=period.start, end=period.end)
    told = rows.filter(kind="threshold").values_list("threshold", flat=True)
    still = thresholds.reached(spend.cost_usd, budget.amount_usd, list(told))
    rows.exclude(kind="threshold", threshold__in=still).update(rearmed_at=now)


def _details(promise: Promise) -> dict[str, audit.Detail]:
    return {
        "amount_usd": money.as_json(promise.amount_usd),
        "period": promise.period.value,
        "hard": promise.is_hard,
        "thresholds": [int(each) for each in promise.thresholds],
        **dict(promise.scope.given()),
    }
