"""Lines on the charts of a page where a version went live: one query for all of its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from apps.core import charts
from apps.dashboards.scope import Scope
from apps.projects.models import Project
from apps.prompts.selectors.releases import Release, releases_in

NAMES_ACROSS = 3
"""So many names stand on a chart at most, each in a row of its own; what is closer shares the name of its first."""


def read_markers(project: Project, scope: Scope) -> list[charts.Event]:
    """A line for each release in the scope's period, environment and feature; those close together share a name."""
    period = scope.period
    found = releases_in(project, period.start, period.end, environment=scope.environment, feature=scope.feature)
    groups = _close(found, period.length / NAMES_ACROSS)
    return [event for row, group in enumerate(groups) for event in _events(group, row)]


def marked(drawn: Mapping[str, charts.Chart], events: Sequence[charts.Event], scope: Scope) -> dict[str, charts.Chart]:
    """The charts with the lines on each."""
    return {name: mark(chart, events, scope) for name, chart in drawn.items()}


def mark(chart: charts.Chart, events: Sequence[charts.Event], scope: Scope) -> charts.Chart:
    """The chart of the scope's period with the lines on it."""
    return charts.with_events(chart, events, middle=scope.period.start + scope.period.length / 2)


def _close(found: Sequence[Release], gap: timedelta) -> list[list[Release]]:
    groups: list[list[Release]] = []
    for release in found:
        if groups and release.at - groups[-1][0].at < gap:
            groups[-1].append(release)
        else:
            groups.append([release])
    return groups


def _events(group: Sequence[Release], row: int) -> list[charts.Event]:
    name = _name(group[0])
    if len(group) > 1:
        name = f"{name} +{len(group) - 1}"
    return [charts.Event(group[0].at, name, row), *(charts.Event(one.at, "") for one in group[1:])]


def _name(release: Release) -> str:
    """`answer 1.0.1`, with an arrow back for a return; short, because it stands on the chart."""
    told = f"{release.prompt.rpartition('/')[2]} {release.version}"
    if release.model:
        told = f"{told}, {release.model.rpartition('/')[2]}"
    return f"↩ {told}" if release.is_return else told
