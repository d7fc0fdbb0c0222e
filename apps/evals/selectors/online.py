"""Reads of online evals: what they do, how much was scored, and why the rest was not. The project comes first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, Q, Sum

from apps.core.errors import NotFound
from apps.evals.models import OnlineEval, OnlineItem, OnlineScorer, OnlineTally
from apps.evals.online import DROPPED, Coverage, Day, Why, coverage
from apps.projects.models import Project

PAGE_SIZE = 50
DAYS = 14
MOST_WHYS = 20


def get_online_eval(project: Project, uuid: UUID) -> OnlineEval:
    """The project's online eval of this id. Raises NotFound."""
    found = OnlineEval.objects.select_related("project").filter(project=project, uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such online eval in this project.")
    return found


@dataclass(frozen=True, slots=True)
class OnlineLine:
    """An online eval with its scorers and what became of the calls of some days."""

    online: OnlineEval
    scorers: tuple[OnlineScorer, ...]
    coverage: Coverage
    spent_today: Decimal

    @property
    def budget_share(self) -> Decimal | None:
        """How much of today's budget is spent, 0..1 and more; None without one."""
        budget = self.online.budget_usd_a_day
        return self.spent_today / budget if budget else None


def list_online_evals(project: Project, *, now: datetime, days: int = DAYS) -> list[OnlineLine]:
    """The project's online evals in the order of their names."""
    rows = list(OnlineEval.objects.filter(project=project).order_by("name"))
    return _lines(rows, now, days)


def online_line(online: OnlineEval, *, now: datetime, days: int = DAYS) -> OnlineLine:
    """One online eval as lists show it."""
    (line,) = _lines([online], now, days)
    return line


def _lines(evals: Sequence[OnlineEval], now: datetime, days: int) -> list[OnlineLine]:
    since = now.date() - timedelta(days=days - 1)
    scorers: dict[int, list[OnlineScorer]] = defaultdict(list)
    held = OnlineScorer.objects.filter(online_eval__in=evals, position__lt=DROPPED)
    for scorer in held.select_related("version__scorer").order_by("position"):
        scorers[scorer.online_eval_id].append(scorer)
    by_day, whys = _days(evals, since), _whys(evals, since)
    lines = []
    for online in evals:
        kept = by_day[online.pk]
        span = [kept.get(since + timedelta(days=step), Day(since + timedelta(days=step))) for step in range(days)]
        found = coverage(span, whys[online.pk])
        lines.append(OnlineLine(online, tuple(scorers[online.pk]), found, span[-1].spent_usd))
    return lines


def _days(evals: Sequence[OnlineEval], since: date) -> dict[int, dict[date, Day]]:
    values: dict[tuple[int, date], dict[str, Any]] = defaultdict(dict)
    for tally in OnlineTally.objects.filter(online_eval__in=evals, day__gte=since):
        counts = {"matched": tally.matched, "sampled": tally.sampled, "left_out": tally.left_out}
        values[tally.online_eval_id, tally.day] |= counts
    rows = OnlineItem.objects.filter(online_eval__in=evals, day__gte=since).values("online_eval_id", "day")
    counted = rows.annotate(
        waiting=Count("pk", filter=Q(state="waiting")),
        scored=Count("pk", filter=Q(state="done")),
        not_scored=Count("pk", filter=Q(state="not_scored")),
        failed=Count("pk", filter=Q(state="failed")),
        spent_usd=Sum("cost_usd"),
        total=Sum("value"),
    )
    for row in counted:
        key = row.pop("online_eval_id"), row.pop("day")
        values[key] |= row | {"spent_usd": row["spent_usd"] or Decimal(0), "total": row["total"] or 0.0}
    found: dict[int, dict[date, Day]] = defaultdict(dict)
    for (pk, day), told in values.items():
        found[pk][day] = Day(day, **told)
    return found


def _whys(evals: Sequence[OnlineEval], since: date) -> dict[int, list[Why]]:
    rows = OnlineItem.objects.filter(online_eval__in=evals, day__gte=since, state__in=("not_scored", "failed"))
    grouped = rows.values("online_eval_id", "state", "reason").annotate(count=Count("pk"), sentence=Min("sentence"))
    found: dict[int, list[Why]] = defaultdict(list)
    for row in grouped.order_by("-count")[: MOST_WHYS * max(len(evals), 1)]:
        found[row["online_eval_id"]].append(Why(row["state"], row["reason"], row["sentence"], row["count"]))
    return found


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some items, newest first. `next` is the cursor to go on with, None at the end."""

    items: list[OnlineItem]
    next: int | None = None


def list_items(
    online: OnlineEval, *, trace: str = "", state: str = "", before: int | None = None, limit: int = PAGE_SIZE
) -> ItemPage:
    """The calls that were sampled, by scorer, newest first; of one trace, or of one state."""
    rows = OnlineItem.objects.filter(online_eval=online).select_related("scorer__version__scorer")
    if trace:
        rows = rows.filter(trace_id=trace.lower())
    if state:
        rows = rows.filter(state=state)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: limit + 1])
    return ItemPage(found[:limit], found[limit - 1].pk if len(found) > limit else None)
