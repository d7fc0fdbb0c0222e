"""`GET /api/v1/metrics`: figures for programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core import clock
from apps.projects.models import Project
from apps.telemetry.selectors import figures
from apps.telemetry.services import rollups
from tests.conftest import Api
from tests.telemetry.calls import Call, make_partitions, put

URL = "/api/v1/metrics"
DAY = datetime(2026, 3, 4, tzinfo=UTC)
RANGE = {"from": "2026-03-04T00:00:00Z", "to": "2026-03-05T00:00:00Z"}

CALLS = [
    Call(1, DAY + timedelta(hours=1), latency_ms=100, ttft_ms=50, cost_usd=Decimal("0.1")),
    Call(2, DAY + timedelta(hours=1, minutes=30), latency_ms=150, status="error", cost_usd=None),
    Call(
        3, DAY + timedelta(hours=3), feature="search", model="o4", latency_ms=None, cost_usd=Decimal("0.000000000001")
    ),
    Call(4, DAY + timedelta(hours=3), feature="search", environment="staging", cost_usd=None, latency_ms=7),
    Call(5, DAY + timedelta(hours=4), counted=False, latency_ms=9_999),
]


@pytest.fixture
def stored(project: Project) -> Project:
    """The project with the calls above."""
    make_partitions(DAY.date() - timedelta(days=1), 3)
    put(project.pk, CALLS)
    return project


def ask(api: Api, **query: Any) -> Any:
    """The answer's items."""
    response = api.get(URL, RANGE | query)
    assert response.status_code == 200, response.content
    assert response.json()["next"] is None
    return response.json()["items"]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("calls", 4),
        ("errors", 1),
        ("error_rate", 0.25),
        ("unpriced_calls", 2),
        ("input_tokens", 400),
        ("output_tokens", 80),
        ("cached_input_tokens", 0),
        ("cost_usd", "0.100000000001"),
        ("latency_ms.p50", 100),
        ("latency_ms.p95", 150),
        ("latency_ms.p99", 150),
        ("ttft_ms.p50", 50),
    ],
)
def test_answers_each_metric(stored: Project, alice_api: Api, metric: str, value: Any) -> None:
    for _ in ("from spans", "from records"):
        (item,) = ask(alice_api, metric=metric)
        assert item == {"at": None, "group": {}, "metrics": {metric: value}}
        rollups.roll_up()


def test_answers_several_metrics_grouped_and_filtered(stored: Project, alice_api: Api) -> None:
    items = ask(
        alice_api,
        metric=["calls", "cost_usd,latency_ms.p99"],
        group_by=["feature", "model"],
        environment="production",
        interval="hour",
    )

    assert items == [
        {
            "at": "2026-03-04T01:00:00Z",
            "group": {"feature": "answers", "model": "gpt-4o"},
            "metrics": {"calls": 2, "cost_usd": "0.1", "latency_ms.p99": 150},
        },
        {
            "at": "2026-03-04T03:00:00Z",
            "group": {"feature": "search", "model": "o4"},
            "metrics": {"calls": 1, "cost_usd": "0.000000000001", "latency_ms.p99": None},
        },
    ]


def test_says_null_for_the_cost_of_unpriced_calls_and_zero_for_no_calls(stored: Project, alice_api: Api) -> None:
    (unpriced,) = ask(alice_api, metric="cost_usd", environment="staging")
    (nothing,) = ask(alice_api, metric=["cost_usd", "calls", "error_rate", "latency_ms.p50"], environment="moon")

    assert unpriced["metrics"] == {"cost_usd": None}
    assert nothing["metrics"] == {"cost_usd": "0", "calls": 0, "error_rate": None, "latency_ms.p50": None}


@pytest.mark.parametrize(
    ("interval", "count", "first", "with_calls"),
    [("none", 1, None, 1), ("minute", 1440, DAY, 3), ("hour", 24, DAY, 2), ("day", 1, DAY, 1)],
)
def test_has_every_interval_without_a_grouping(
    stored: Project, alice_api: Api, interval: str, count: int, first: datetime | None, with_calls: int
) -> None:
    items = ask(alice_api, metric="calls", interval=interval)

    assert len(items) == count
    assert items[0]["at"] == (None if first is None else "2026-03-04T00:00:00Z")
    assert sum(item["metrics"]["calls"] for item in items) == 4
    assert sum(item["metrics"]["calls"] > 0 for item in items) == with_calls


def test_cuts_days_in_the_projects_time_zone(stored: Project, alice_api: Api) -> None:
    stored.timezone = "America/New_York"
    stored.save(update_fields=["timezone"])

    items = ask(alice_api, metric="calls", interval="day")

    assert [item["at"] for item in items] == ["2026-03-03T05:00:00Z", "2026-03-04T05:00:00Z"]
    assert [item["metrics"]["calls"] for item in items] == [4, 0]


def test_looks_at_the_last_day_without_a_range(project: Project, alice_api: Api) -> None:
    now = clock.now()
    make_partitions((now - timedelta(days=2)).date(), 3)
    put(project.pk, [Call(1, now - timedelta(minutes=1)), Call(2, now - timedelta(hours=25))])

    (item,) = alice_api.get(URL, {"metric": "calls"}).json()["items"]

    assert item["metrics"]["calls"] == 1


def test_finds_the_calls_that_did_not_say(project: Project, alice_api: Api) -> None:
    make_partitions(DAY.date(), 1)
    put(project.pk, [Call(1, DAY, feature=""), Call(2, DAY, feature="answers")])

    (item,) = ask(alice_api, metric="calls", feature="")

    assert item["metrics"]["calls"] == 1


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({}, "metric"),
        ({"metric": ""}, "metric"),
        ({"metric": "costs"}, "There are: calls, errors"),
        ({"metric": "score."}, "There are: calls, errors"),
        ({"metric": "calls", "group_by": "colour"}, "There are: environment, feature"),
        ({"metric": "calls", "group_by": "feature,model,source"}, "Group by 2"),
        ({"metric": "calls", "interval": "week"}, "week"),
        ({"metric": "calls", "from": "yesterday"}, "from"),
        ({"metric": "calls", "from": "2026-03-05T00:00:00Z"}, "before"),
        ({"metric": "calls", "from": "2025-01-01T00:00:00Z"}, "400 days"),
        ({"metric": "calls", "from": "2026-03-03T23:59:59Z", "interval": "minute"}, "24 hours"),
        ({"metric": "calls", "to": "0001-01-01T00:00:00Z"}, "1970"),
        ({"metric": "calls", "to": "9999-12-31T23:59:59Z"}, "9999"),
        ({"metric": "calls", "modle": "gpt-4o"}, "modle"),
        ({"metric": "calls", "model": "x\x00y"}, "ull"),
    ],
)
def test_refuses_what_makes_no_sense(alice_api: Api, query: dict[str, str], word: str) -> None:
    response = alice_api.get(URL, RANGE | query)

    assert response.status_code == 422
    assert word in str(response.json()["error"])


def test_refuses_more_points_than_anybody_can_look_at(
    stored: Project, alice_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MAX_ROWS", 2)

    response = alice_api.get(URL, RANGE | {"metric": "calls", "group_by": "feature,model", "interval": "hour"})

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "too_many_points"


def test_needs_a_key_that_may_read(read_key: str, ingest_key: str, stored: Project) -> None:
    assert ask(Api(read_key), metric="calls")[0]["metrics"] == {"calls": 4}
    assert Api(ingest_key).get(URL, RANGE | {"metric": "calls"}).status_code == 403
    assert Api().get(URL, RANGE | {"metric": "calls"}).status_code == 401
    assert Api(read_key).post(URL, {}).status_code == 405


def test_shows_nothing_of_another_project(stored: Project, other_key: str, charlie: Any, alice_api: Api) -> None:
    (item,) = ask(Api(other_key), metric="calls", group_by="")
    assert item["metrics"] == {"calls": 0}

    response = Api(user=charlie).get(URL, RANGE | {"metric": "calls", "project": stored.slug})
    assert response.status_code == 404


def test_lets_a_viewer_look(stored: Project, bob: Any) -> None:
    assert ask(Api(user=bob), metric="calls")[0]["metrics"] == {"calls": 4}


def test_asks_the_same_few_queries_whatever_the_grouping(stored: Project, read_key: str) -> None:
    api = Api(read_key)
    ask(api, metric="calls")
    for query in ({}, {"group_by": "feature,model", "interval": "hour"}, {"group_by": "source", "interval": "day"}):
        with CaptureQueriesContext(connection) as captured:
            ask(api, metric=["calls", "latency_ms.p99"], **query)
        assert sum("telemetry_" in query["sql"] for query in captured.captured_queries) == 2
