"""Reads of the pages about costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from apps.dashboards import calendar
from apps.dashboards.anomalies import MOST_DAYS, Anomaly, find_anomalies
from apps.dashboards.cache_savings import PriceAt, savings
from apps.dashboards.cost_details import (
    TOPS,
    Details,
    course_of,
    purposes,
    success_costs,
    top,
    total_of,
)
from apps.dashboards.scope import Scope
from apps.providers.rates import STANDARD, TokenPrices
from apps.providers.selectors import price_book
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable, Interval
from apps.telemetry.scoring import TASK_COMPLETION
from apps.telemetry.selectors.fact_cells import FactScope, read_facts
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.tallies import Subject
from apps.telemetry.unpriced import Unpriced, unpriced_models

JUDGED_DAYS = 14
LOOK_BACK_DAYS = MOST_DAYS + JUDGED_DAYS
DRIVERS = (Dimension.FEATURE, Dimension.MODEL)
MOST_SUCCESSES = 10


def read_unpriced(project_id: int, scope: Scope) -> list[Unpriced]:
    """The models of the scope with calls that have no price, by number of these; seen by UTC day. In two queries."""
    request = FigureRequest(
        scope.period.start,
        scope.period.end,
        (Dimension.PROVIDER, Dimension.MODEL),
        Interval.DAY,
        scope.filters,
        has_lengths=False,
    )
    return unpriced_models(read_tables(project_id, [request])[0])


def read_details(project_id: int, scope: Scope, *, zone: ZoneInfo, now: datetime) -> Details:
    """What lies behind the spend of the scope, in five queries; anomalies are of the last two weeks' whole days."""
    period, filters = scope.period, scope.filters
    today = calendar.today(now, zone).start
    begin = _days_before(today, zone, LOOK_BACK_DAYS)
    requests = [
        *(_whole(scope, dimension) for dimension in (*TOPS, Dimension.SOURCE)),
        FigureRequest(
            period.start,
            period.end,
            (Dimension.PROVIDER, Dimension.MODEL),
            Interval.DAY,
            filters,
            has_lengths=False,
        ),
        *(
            FigureRequest(begin, today, (dimension,), Interval.DAY, filters, zone, has_lengths=False)
            for dimension in DRIVERS
        ),
    ]
    *tops, sources, cached, features, models = read_tables(project_id, requests)
    tasks = read_facts(
        project_id, FactScope(period.start, period.end, Interval.NONE, scope.environment, scope.feature), Subject.TASK
    )[0]
    success, successes = success_costs(tasks)
    serving, evaluating = purposes(sources)
    return Details(
        total=sources.total,
        tops={dimension: top(table) for dimension, table in zip(TOPS, tops, strict=True)},
        sources=top(sources, None),
        serving=serving,
        evaluating=evaluating,
        success=success,
        successes=successes[:MOST_SUCCESSES],
        cache=savings(cached.rows, price_at(project_id)),
        anomalies=_anomalies(features, models, zone=zone, begin=begin, today=today),
    )


def read_anomalies(project_id: int, scope: Scope, *, zone: ZoneInfo, now: datetime) -> list[Anomaly]:
    """The days of the last two weeks, without today, whose spend is out of its usual range; in two queries."""
    today = calendar.today(now, zone).start
    begin = _days_before(today, zone, LOOK_BACK_DAYS)
    features, models = read_tables(
        project_id,
        [
            FigureRequest(begin, today, (dimension,), Interval.DAY, scope.filters, zone, has_lengths=False)
            for dimension in DRIVERS
        ],
    )
    return _anomalies(features, models, zone=zone, begin=begin, today=today)


def _anomalies(
    features: FigureTable, models: FigureTable, *, zone: ZoneInfo, begin: datetime, today: datetime
) -> list[Anomaly]:
    courses = {
        str(dimension): course_of(table, zone) for dimension, table in zip(DRIVERS, (features, models), strict=True)
    }
    return find_anomalies(
        total_of(features, zone),
        courses,
        first=begin.astimezone(zone).date(),
        last=today.astimezone(zone).date() - timedelta(days=1),
        judged=JUDGED_DAYS,
    )


def _days_before(midnight: datetime, zone: ZoneInfo, days: int) -> datetime:
    """The local midnight so many days before."""
    day = midnight.astimezone(zone).date() - timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _whole(scope: Scope, dimension: Dimension) -> FigureRequest:
    period = scope.period
    return FigureRequest(period.start, period.end, (dimension,), filters=scope.filters, has_lengths=False)


def price_at(project_id: int) -> PriceAt:
    """The price book's standard prices below the first tier, as the savings of caches need them."""

    def look_up(provider: str, model: str, at: datetime) -> TokenPrices | None:
        priced = price_book.price_for(project_id, provider or None, model, at)
        bands = priced.rates.plans.get(STANDARD, ()) if priced else ()
        return bands[0].prices if bands else None

    return look_up


# --- Users ---------------------------------------------------------------------------------------------------

NEWEST_CALLS = 100_000
TOP_USERS = 10
USERS = """
WITH newest AS (
  SELECT user_id, cost_usd, started_at FROM telemetry_span
  WHERE project_id = %(project)s AND counted AND started_at >= %(start)s AND started_at < %(end)s
    AND (%(environment)s::text IS NULL OR environment = %(environment)s)
    AND (%(feature)s::text IS NULL OR feature = %(feature)s)
    AND (%(model)s::text IS NULL OR model = %(model)s)
  ORDER BY started_at DESC LIMIT %(most)s
)
SELECT user_id, count(*), count(*) FILTER (WHERE cost_usd IS NULL), sum(cost_usd), sum(sum(cost_usd)) OVER (),
  sum(count(*)) OVER ()::bigint, min(min(started_at)) OVER ()
FROM newest GROUP BY user_id ORDER BY sum(cost_usd) DESC NULLS LAST, count(*) DESC, user_id LIMIT %(top)s
"""


@dataclass(frozen=True)
class UserSpend:
    """What one user's calls cost; the empty id stands for calls that named nobody. A cost of None is unknown."""

    user_id: str
    calls: int
    unpriced_calls: int
    cost_usd: Decimal | None
    share: Decimal | None


@dataclass(frozen=True)
class TopUsers:
    """The users who spend most among the newest calls of the scope; `is_whole` when those are all of them."""

    users: Sequence[UserSpend]
    calls: int
    since: datetime | None
    is_whole: bool


def read_top_users(project_id: int, scope: Scope, *, most: int = NEWEST_CALLS) -> TopUsers:
    """Who spends most, among the newest `most` calls of the scope, in one query over spans."""
    period = scope.period
    values: dict[str, Any] = {
        "project": project_id,
        "start": period.start,
        "end": period.end,
        "environment": scope.environment,
        "feature": scope.feature,
        "model": scope.model,
        "most": most,
        "top": TOP_USERS,
    }
    with connection.cursor() as cursor:
        cursor.execute(USERS, values)
        rows = cursor.fetchall()
    users = [
        UserSpend(user, calls, unpriced, cost, cost / known if known and cost is not None else None)
        for user, calls, unpriced, cost, known, _, _ in rows
    ]
    calls, since = (rows[0][5], rows[0][6]) if rows else (0, None)
    return TopUsers(users, calls, since, calls < most)


# --- Scored tasks --------------------------------------------------------------------------------------------

NEWEST_SCORES = 500
SCORED = """
WITH newest AS (
  SELECT trace_id, value, at FROM telemetry_score
  WHERE project_id = %(project)s AND name = %(name)s AND trace_id IS NOT NULL AND value IS NOT NULL
    AND at >= %(start)s AND at < %(end)s
    AND (%(environment)s::text IS NULL OR environment = %(environment)s)
    AND (%(feature)s::text IS NULL OR feature = %(feature)s)
  ORDER BY at DESC LIMIT %(most)s
), scored AS (
  SELECT trace_id, max(value) AS value, max(at) AS at FROM newest GROUP BY trace_id
)
SELECT count(*), count(*) FILTER (WHERE value >= 1), sum(spent.cost), coalesce(sum(spent.unpriced), 0)::bigint, min(at)
FROM scored CROSS JOIN LATERAL (
  SELECT sum(cost_usd) AS cost, count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced FROM telemetry_span
  WHERE project_id = %(project)s AND trace_id = scored.trace_id AND counted
    AND started_at > scored.at - interval '7 days' AND started_at < scored.at + interval '1 hour'
) AS spent
"""


@dataclass(frozen=True)
class ScoredSuccess:
    """What the traces with a score of their task's completion cost, at most the newest NEWEST_SCORES of them."""

    traces: int
    successes: int
    cost_usd: Decimal | None
    unpriced_calls: int
    since: datetime | None

    @property
    def per_success_usd(self) -> Decimal | None:
        """The known cost of all scored traces by those scored as done; None without one or without a cost."""
        return self.cost_usd / self.successes if self.successes and self.cost_usd is not None else None


def read_scored_success(project_id: int, scope: Scope) -> ScoredSuccess:
    """What a task costs that a score calls done (`task_completion` of 1), in one query."""
    values: dict[str, Any] = {
        "project": project_id,
        "name": TASK_COMPLETION,
        "start": scope.period.start,
        "end": scope.period.end,
        "environment": scope.environment,
        "feature": scope.feature,
        "most": NEWEST_SCORES,
    }
    with connection.cursor() as cursor:
        cursor.execute(SCORED, values)
        return ScoredSuccess(*cursor.fetchone())
