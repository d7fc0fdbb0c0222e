"""Reads of the pages: which figures each needs, asked for at once so that all are of the same moment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from apps.accounts.models import User
from apps.dashboards import calendar, quality
from apps.dashboards.costs import CostTables
from apps.dashboards.latency import LatencyTables, other_of
from apps.dashboards.overview import OverviewTables
from apps.dashboards.quality import Quality
from apps.dashboards.scope import Scope
from apps.projects.models import Project
from apps.projects.selectors import list_features, list_memberships
from apps.prompts.selectors import list_prompts
from apps.telemetry.figures import Dimension, FigureRequest, Filters, Interval
from apps.telemetry.models import IntakeRejection
from apps.telemetry.selectors import agents, intake, retrievals, scores
from apps.telemetry.selectors.agents import AgentTables, WorstTask
from apps.telemetry.selectors.fact_cells import FactScope, FactTable
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.selectors.lookup import start_of_trace
from apps.telemetry.selectors.retrievals import IndexAge, WorstRetrieval
from apps.telemetry.selectors.traces import TraceFilter, TraceSummary, recent_traces


def read_overview(project_id: int, scope: Scope, *, zone: ZoneInfo, now: datetime) -> OverviewTables:
    """The Overview's figures, in two queries."""
    period, earlier = scope.period, scope.period.before()
    filters = scope.filters
    feature, model = (Dimension.FEATURE,), (Dimension.MODEL,)
    requests = [
        FigureRequest(period.start, period.end, feature, scope.interval, filters, zone),
        FigureRequest(earlier.start, earlier.end, feature, filters=filters),
        FigureRequest(period.start, period.end, model, filters=filters),
        FigureRequest(earlier.start, earlier.end, model, filters=filters, has_lengths=False),
        _stretch(calendar.today(now, zone), Interval.HOUR, filters, zone),
        _stretch(calendar.yesterday_so_far(now, zone), Interval.NONE, filters, zone),
        _stretch(calendar.this_month(now, zone), Interval.DAY, filters, zone),
        _stretch(calendar.last_month_so_far(now, zone), Interval.NONE, filters, zone),
    ]
    if scope.model is not None:
        requests.append(_every_model(scope))
    return OverviewTables(*read_tables(project_id, requests))


def _stretch(stretch: calendar.Stretch, interval: Interval, filters: Filters, zone: ZoneInfo) -> FigureRequest:
    return FigureRequest(stretch.start, stretch.end, (), interval, filters, zone, has_lengths=False)


def has_calls(project: Project) -> bool:
    """Whether anything has ever arrived for the project."""
    return project.first_call_at is not None or intake.has_calls(project.pk)


def feature_names(project: Project) -> list[str]:
    """The project's features, oldest first: the order in which they were given their colors."""
    features = sorted(list_features(project), key=lambda feature: (feature.created_at, feature.pk))
    return [feature.slug for feature in features]


@dataclass(frozen=True)
class Intake:
    """What arrived lately and what was refused."""

    counts: intake.IntakeCounts
    rejections: list[IntakeRejection]


def intake_of(project: Project, *, since: datetime) -> Intake:
    """The account of the project's intake since then."""
    counts = intake.count_intake(project.pk, since=since)
    rejections = intake.last_rejections(project.pk, since=since) if counts.rejected else []
    return Intake(counts, rejections)


LATEST = 6
LATEST_WITHIN = timedelta(hours=24)


def latest_traces(project_id: int, scope: Scope) -> Sequence[TraceSummary]:
    """The newest few traces of the scope's last day at most, in two queries."""
    period = scope.period
    matching = TraceFilter(environment=scope.environment, feature=scope.feature, model=scope.model)
    start = max(period.start, period.end - LATEST_WITHIN)
    return recent_traces(project_id, start=start, end=period.end, matching=matching, limit=LATEST).items


def read_costs(project_id: int, scope: Scope, *, by: Dimension, zone: ZoneInfo) -> CostTables:
    """The Costs page's figures, in two queries."""
    period, earlier, filters = scope.period, scope.period.before(), scope.filters
    requests = [
        FigureRequest(period.start, period.end, (by,), scope.interval, filters, zone, has_lengths=False),
        FigureRequest(earlier.start, earlier.end, (by,), filters=filters, has_lengths=False),
        # Days of UTC, and models alone, so that long ranges come from few records; six hours are shown as their day.
        FigureRequest(
            period.start,
            period.end,
            (Dimension.MODEL,),
            Interval.DAY if scope.interval is Interval.SIX_HOURS else scope.interval,
            filters,
            has_lengths=False,
        ),
    ]
    if scope.model is not None:
        requests.append(_every_model(scope))
    return CostTables(*read_tables(project_id, requests))


def read_latency(project_id: int, scope: Scope, *, by: Dimension, zone: ZoneInfo) -> LatencyTables:
    """The Latency page's figures, in two queries."""
    period, earlier, filters = scope.period, scope.period.before(), scope.filters
    other = other_of(by)
    requests = [
        FigureRequest(period.start, period.end, (by,), scope.interval, filters, zone),
        FigureRequest(earlier.start, earlier.end, (by,), filters=filters),
        FigureRequest(period.start, period.end, (other,), filters=filters),
        FigureRequest(earlier.start, earlier.end, (other,), filters=filters),
    ]
    return LatencyTables(*read_tables(project_id, requests))


@dataclass(frozen=True)
class RetrievalRead:
    """What the Retrieval page is made of."""

    table: FactTable
    worst: Mapping[str, Sequence[WorstRetrieval]]
    ages: Mapping[str, IndexAge]


def read_retrieval(project_id: int, scope: Scope) -> RetrievalRead:
    """The Retrieval page's figures, in four queries."""
    facts = fact_scope(scope)
    table = retrievals.read_retrievals(project_id, facts)
    names = sorted(table.by_name, key=lambda name: -table.by_name[name]["retrievals"])
    return RetrievalRead(
        table,
        retrievals.worst_retrievals(project_id, facts),
        retrievals.index_ages(project_id, names, until=scope.period.end),
    )


@dataclass(frozen=True)
class AgentsRead:
    """What the Agents page is made of."""

    tables: AgentTables
    worst: Mapping[str, Sequence[WorstTask]]


def read_agents_page(project_id: int, scope: Scope) -> AgentsRead:
    """The Agents page's figures, in three queries."""
    facts = fact_scope(scope)
    return AgentsRead(agents.read_agents(project_id, facts), agents.worst_tasks(project_id, facts))


def fact_scope(scope: Scope) -> FactScope:
    """The page's scope as facts are asked for."""
    return FactScope(scope.period.start, scope.period.end, scope.interval, scope.environment, scope.feature)


def has_retrievals(project_id: int) -> bool:
    """Whether the project has any retrieval at all."""
    return retrievals.has_any(project_id)


def has_agents(project_id: int) -> bool:
    """Whether the project has any task or tool run at all."""
    return agents.has_any(project_id)


def _every_model(scope: Scope) -> FigureRequest:
    """All models of the period, for the filter of a page that is narrowed to one."""
    filters = replace(scope.filters, model=None)
    return FigureRequest(scope.period.start, scope.period.end, (Dimension.MODEL,), filters=filters, has_lengths=False)


WORST = 10
COMMENTS = 6


def read_quality(project_id: int, scope: Scope, *, wish: str | None, is_highest: bool, zone: ZoneInfo) -> Quality:
    """The Quality page, in five queries: the score in the address in full, and all others by name."""
    period, earlier, filters = scope.period, scope.period.before(), scope.filters
    course = scores.read_course(
        project_id,
        before=earlier.start,
        start=period.start,
        end=period.end,
        interval=scope.interval,
        timezone=zone,
        filters=filters,
    )
    names = quality.names_of(course)
    chosen = quality.choose(names, wish)
    coverage = scores.read_coverage(project_id, start=period.start, end=period.end, filters=filters)
    if chosen is None:
        return Quality(names, None, course.times, {}, [], [], [], coverage)
    found = scores.read_breakdown(
        project_id, chosen.name, before=earlier.start, start=period.start, end=period.end, filters=filters
    )
    within: dict[str, Any] = {"start": period.start, "end": period.end, "filters": filters}
    bounds: dict[str, Any] = {"lowest": chosen.now.lowest or 0.0, "highest": chosen.now.highest or 0.0}
    notable = scores.read_notable(project_id, chosen.name, **within, is_highest=is_highest, limit=WORST)
    return Quality(
        names=names,
        chosen=chosen,
        times=course.times,
        rows=quality.rows_of(found),
        bars=scores.read_distribution(project_id, chosen.name, **within, **bounds),
        worst=notable.extreme,
        comments=notable.said[:COMMENTS],
        coverage=coverage,
    )


def last_trace(project_id: int, *, now: datetime) -> str | None:
    """The id of the newest trace of the last day, for an example that scores a real one; None without any."""
    found = recent_traces(project_id, start=now - LATEST_WITHIN, end=now, matching=TraceFilter(), limit=1).items
    return found[0].trace_id if found else None


def has_scores(project_id: int) -> bool:
    """Whether a score has ever arrived for the project."""
    return scores.has_scores(project_id)


MOST_FOUND = 8
TRACE_ID = re.compile(r"[0-9a-f]{32}")


class Place(NamedTuple):
    """Something the palette found. `kind` is trace, feature, prompt or project; `key` is what its address is made of,
    and `at` a time within a trace.
    """

    kind: str
    name: str
    key: str
    at: datetime | None = None


def find_places(project: Project, user: User, words: str) -> list[Place]:
    """Where these words lead: a trace by its whole id, features and projects by any part of their name, prompts by
    their words."""
    wanted = words.strip().lower().replace("\x00", "")
    if not wanted:
        return []
    if TRACE_ID.fullmatch(wanted.replace("-", "")):
        trace_id = wanted.replace("-", "")
        at = start_of_trace(project.pk, trace_id)
        return [] if at is None else [Place("trace", trace_id, trace_id, at)]
    features = [Place("feature", name, name) for name in feature_names(project) if wanted in name.lower()]
    prompts = [
        Place("prompt", line.name, line.name) for line in list_prompts(project, words=wanted, limit=MOST_FOUND).items
    ]
    projects = [membership.project for membership in list_memberships(user=user) if membership.project_id != project.pk]
    others = [Place("project", other.name, other.slug) for other in projects if wanted in other.name.lower()]
    return [*features[:MOST_FOUND], *prompts, *others[:MOST_FOUND]]
