"""Reads of the pages: which figures each needs, asked for at once so that all are of the same moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from apps.dashboards import calendar
from apps.dashboards.overview import OverviewTables
from apps.dashboards.scope import Scope
from apps.projects.models import Project
from apps.projects.selectors import list_features
from apps.telemetry.figures import Dimension, FigureRequest, Filters, Interval
from apps.telemetry.models import IntakeRejection
from apps.telemetry.selectors import intake
from apps.telemetry.selectors.figures import read_tables


def read_overview(project_id: int, scope: Scope, *, zone: ZoneInfo, now: datetime) -> OverviewTables:
    """The Overview's figures, in two queries."""
    period, earlier = scope.period, scope.period.before()
    filters = scope.filters
    feature, model = (Dimension.FEATURE,), (Dimension.MODEL,)
    requests = [
        FigureRequest(period.start, period.end, feature, scope.interval, filters, zone),
        FigureRequest(earlier.start, earlier.end, feature, filters=filters),
        FigureRequest(period.start, period.end, model, filters=filters),
        FigureRequest(earlier.start, earlier.end, model, filters=filters),
        _stretch(calendar.today(now, zone), Interval.HOUR, filters, zone),
        _stretch(calendar.yesterday_so_far(now, zone), Interval.NONE, filters, zone),
        _stretch(calendar.this_month(now, zone), Interval.DAY, filters, zone),
        _stretch(calendar.last_month_so_far(now, zone), Interval.NONE, filters, zone),
    ]
    if scope.model is not None:
        every_model = replace(filters, model=None)
        requests.append(FigureRequest(period.start, period.end, model, filters=every_model))
    return OverviewTables(*read_tables(project_id, requests))


def _stretch(stretch: calendar.Stretch, interval: Interval, filters: Filters, zone: ZoneInfo) -> FigureRequest:
    return FigureRequest(stretch.start, stretch.end, (), interval, filters, zone)


def has_calls(project: Project) -> bool:
    """Whether anything has ever arrived for the project."""
    return project.first_call_at is not None or intake.has_stored(project.pk)


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
