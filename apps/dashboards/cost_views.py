"""Parts of the Costs page that are fetched after it, each also a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.urls import reverse

from apps.core import clock
from apps.core.clock import zone_named
from apps.core.http import page_or_fragment
from apps.dashboards import cost_selectors, sentences, words
from apps.dashboards.anomalies import Anomaly, Driver
from apps.dashboards.scope import Scope, read_scope
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.telemetry.addresses import not_said, write_value
from apps.telemetry.figures import Dimension


class DriverLine(NamedTuple):
    """What drove a day, and where its traces are."""

    driver: Driver
    label: str
    name: str
    url: str


class AnomalyLine(NamedTuple):
    """A day out of its usual range, and where its traces are."""

    anomaly: Anomaly
    url: str
    drivers: Sequence[DriverLine]


@project_page()
def costs_details(request: ProjectRequest, project: Project) -> HttpResponse:
    """Who spends most, what for, what a success costs, what caches saved, and unusual days."""
    now = clock.now()
    scope, zone = read_scope(request.GET.dict(), now=now), zone_named(project.timezone)
    details = cost_selectors.read_details(project.pk, scope, zone=zone, now=now)
    context = {
        **_shared(project, scope, now),
        "details": details,
        "tops": [(dimension, words.heading(dimension), lines) for dimension, lines in details.tops.items()],
        "anomalies": [_anomaly_line(project, scope, each, zone) for each in details.anomalies],
        "judged": cost_selectors.JUDGED_DAYS,
    }
    return page_or_fragment(request, "dashboards/cost_details.html", "dashboards/_cost_details.html", context)


@project_page()
def costs_users(request: ProjectRequest, project: Project) -> HttpResponse:
    """Which users spend most, and what a task costs that a score calls done."""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now)
    context = {
        **_shared(project, scope, now),
        "top": cost_selectors.read_top_users(project.pk, scope),
        "scored": cost_selectors.read_scored_success(project.pk, scope),
    }
    return page_or_fragment(request, "dashboards/cost_users.html", "dashboards/_cost_users.html", context)


def _shared(project: Project, scope: Scope, now: datetime) -> dict[str, Any]:
    return {
        "project": project,
        "now": now,
        "where": words.where(scope),
        "last": sentences.last(scope.period),
    }


def _anomaly_line(project: Project, scope: Scope, anomaly: Anomaly, zone: ZoneInfo) -> AnomalyLine:
    drivers = [
        DriverLine(
            driver,
            words.heading(Dimension(driver.dimension)),
            driver.value or not_said(driver.dimension),
            _traces_url(project, scope, anomaly.day, zone, **{driver.dimension: write_value(driver.value)}),
        )
        for driver in anomaly.drivers
    ]
    return AnomalyLine(anomaly, _traces_url(project, scope, anomaly.day, zone), drivers)


def _traces_url(project: Project, scope: Scope, day: date, zone: ZoneInfo, **more: str) -> str:
    """The traces of the day in the project's time zone."""
    start, end = (datetime.combine(at, datetime.min.time(), zone) for at in (day, day + timedelta(days=1)))
    where = {"env": write_value(scope.environment)} if scope.environment is not None else {}
    kept = {name: write_value(value) for name in ("feature", "model") if (value := getattr(scope, name)) is not None}
    span = {"from": start.isoformat(), "to": end.isoformat()}
    return f"{reverse('traces', kwargs={'project': project.slug})}?{urlencode({**span, **where, **kept, **more})}"
