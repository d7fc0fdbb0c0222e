"""Lines on charts of figures where a version went live."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.core.charts import Chart
from apps.projects.models import Project
from apps.prompts import services as prompts
from apps.prompts.models import Version
from tests import factories
from tests.dashboards.conftest import NOW, Send, calls
from tests.promotions import making

pytestmark = pytest.mark.usefixtures("at_noon")


def lines(chart: Chart) -> list[str]:
    """When the vertical lines stand."""
    return [shape["x0"] for shape in chart.figure["layout"]["shapes"] if shape.get("name") == "event"]


def names(chart: Chart) -> dict[str, str]:
    """What stands at them, with the side it stands on."""
    told = chart.figure["layout"]["annotations"]
    return {one["text"]: one["xanchor"] for one in told if one.get("yref") == "paper"}


def put_live(version: Version, hours_ago: float, environment: str = "staging") -> None:
    project = version.prompt.project
    prompts.deploy(
        prompt=version.prompt,
        version=version,
        environment=making.environment(project, environment),
        actor=factories.actor_of(making.owner_of(project)),
        now=NOW - timedelta(hours=hours_ago),
    )


@pytest.mark.django_db
def test_each_time_chart_says_what_went_live(
    project: Project, other_project: Project, alice_client: Client, send: Send, django_assert_max_num_queries: Any
) -> None:
    """In the period and environment of the page, in one query, escaped; another project's are not shown."""
    send(project, *calls(3, hours_ago=20), *calls(3, hours_ago=2))
    first, second = making.make_version(project), making.make_version(project, making.BAD)
    for version, hours_ago in ((first, 30), (second, 22), (first, 4), (second, 3.5)):
        put_live(version, hours_ago)
    put_live(making.make_version(project, name="notes/short"), 12, "development")
    put_live(making.make_version(other_project, name="secret"), 5)
    at = [f"{NOW - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}" for hours in (22, 12, 4, 3.5)]
    said = {"answer 1.0.1": "left", "short 1.0.0": "left", "answer 1.0.0 +1": "right"}
    alice_client.get(f"/p/{project.slug}/")  # the first page of a day renews the session
    for place in ("", "latency", "costs"):
        with django_assert_max_num_queries(12):
            context = alice_client.get(f"/p/{project.slug}/{place}").context
        drawn = [context["chart"]] if place == "costs" else context["charts"].values()
        known = [chart for chart in drawn if not chart.is_empty]
        assert known
        for chart in known:
            assert lines(chart) == at, chart.id
            assert said.items() <= names(chart).items(), chart.id
        assert all(not lines(chart) for chart in drawn if chart.is_empty)
    only = alice_client.get(f"/p/{project.slug}/costs?env=development&range=7d").context["chart"]
    assert only.is_empty or "short 1.0.0" in names(only)
    assert "secret" not in str(only.figure)
