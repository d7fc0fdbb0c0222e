"""The rail: which pages it shows, which one is lit, and what goes along from page to page."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.urls import path

from apps.core import navigation


def nothing(request: object, project: str) -> HttpResponse:
    """A page."""
    return HttpResponse()


urlpatterns = [
    path("p/<slug:project>/", nothing, name="overview"),
    path("p/<slug:project>/traces", nothing, name="traces"),
    path("p/<slug:project>/costs", nothing, name="costs"),
    path("p/<slug:project>/eval-runs", nothing, name="eval_runs"),
    path("p/<slug:project>/settings/general", nothing, name="settings_general"),
]

pytestmark = pytest.mark.urls(__name__)


def lit(at: str) -> list[str]:
    """The labels that are marked as the current page."""
    groups = navigation.rail("harbor", path=at)
    return [str(item.label) for group in groups for item in group.items if item.is_current]


def test_leaves_out_pages_and_groups_that_do_not_exist() -> None:
    groups = navigation.rail("harbor", path="/")
    assert [(str(group.title), [str(item.label) for item in group.items]) for group in groups] == [
        ("", ["Overview"]),
        ("Observe", ["Traces"]),
        ("Build", ["Eval runs"]),
        ("Operate", ["Costs"]),
        ("", ["Settings"]),
    ]


@pytest.mark.parametrize(
    ("at", "labels"),
    [
        ("/p/harbor/", ["Overview"]),
        ("/p/harbor/traces", ["Traces"]),
        ("/p/harbor/traces/4bf92f35", ["Traces"]),
        ("/p/harbor/tracesuits", []),
        ("/p/harbor/settings/general", ["Settings"]),
        ("/p/harbor/settings/members", ["Settings"]),
        ("/p/harbor/gates/quality", ["Eval runs"]),
        ("/p/harbor/gatesuits", []),
        ("/p/other/traces", []),
    ],
)
def test_lights_the_page_one_is_on_or_below(at: str, labels: list[str]) -> None:
    assert lit(at) == labels


def test_takes_range_and_environment_along() -> None:
    groups = navigation.rail("harbor", path="/", query="?range=7d&env=staging", counts={"costs": 2})
    urls = [item.url for group in groups for item in group.items]
    assert "/p/harbor/costs?range=7d&env=staging" in urls
    assert [item.waiting for group in groups for item in group.items] == [0, 0, 0, 2, 0]
