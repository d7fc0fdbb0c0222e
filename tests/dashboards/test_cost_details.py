"""Behind the spend: who spends most, what for, per success, what caches saved, and unusual days."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.core import clock
from apps.dashboards.anomalies import DaySpend, find_anomalies
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers.services import add_own_price
from apps.telemetry.models import CostDaySlice, Score, Span
from tests.conftest import Api
from tests.dashboards.conftest import NOW, Send, calls
from tests.dashboards.facts import a_task, keep
from tests.dashboards.pages import Page

pytestmark = pytest.mark.usefixtures("at_noon")

TODAY = NOW.date()
NOTHING = {"errors": 0, "unpriced_calls": 0, "input_tokens": 0, "output_tokens": 0, "cached_input_tokens": 0}
NOTHING |= {"cache_write_tokens": 0, "reasoning_tokens": 0, "latency_histogram": b"", "ttft_histogram": b""}


def spend_days(project: Project, *, spike: date | None, days: int = 60) -> None:
    """Records of two features over two models, less on weekends; on the spike one feature has five times as many."""
    rows = []
    for back in range(1, days + 1):
        day = TODAY - timedelta(days=back)
        quiet = 0.4 if day.weekday() >= 5 else 1.0
        parts = {"answers": int(1000 * quiet) + 7 * (back % 3), "search": int(500 * quiet)}
        if day == spike:
            parts["search"] *= 5
        slices = {("feature", name): made for name, made in parts.items()}
        slices |= {("model", "large"): parts["answers"], ("model", "small"): parts["search"], ("all", ""): 0}
        slices["all", ""] = sum(parts.values())
        rows += [
            CostDaySlice(
                project_id=project.pk,
                day=day,
                environment="production",
                dimension=dimension,
                value=value,
                calls=made,
                cost_usd=Decimal(made) / 100,
                **NOTHING,
            )
            for (dimension, value), made in slices.items()
        ]
    CostDaySlice.objects.bulk_create(rows)


def details(client: Client, project: Project, query: str = "") -> Page:
    return Page(client.get(f"/p/{project.slug}/costs/details{query}"))


def test_finds_the_unusual_day_and_what_drove_it(alice_client: Client, alice: User, project: Project) -> None:
    spike = TODAY - timedelta(days=4)
    spend_days(project, spike=spike)
    page = details(alice_client, project)
    with CaptureQueriesContext(connection) as asked:
        details(alice_client, project)
    assert len(asked) <= 12
    rows = page.table("table-anomalies")
    assert list(rows) == [spike.isoformat()]
    assert "High" in rows[spike.isoformat()]["State"]
    assert "search" in rows[spike.isoformat()]["Driven by"]
    assert "calls ×5.0; cost per call ×1.0" in rows[spike.isoformat()]["Driven by"]
    (told,) = Api(user=alice).get(f"/api/v1/costs/anomalies?project={project.slug}").json()["items"]
    assert told["day"] == spike.isoformat()
    assert told["low_usd"] < told["expected_usd"] < told["high_usd"] < told["cost_usd"]
    assert [(each["dimension"], each["value"]) for each in told["drivers"]] == [
        ("feature", "search"),
        ("model", "small"),
    ]
    assert told["drivers"][0]["change_usd"] == pytest.approx(20 if spike.weekday() < 5 else 8)
    where = page.link(spike.isoformat())
    assert f"from={spike.isoformat()}T00" in where
    assert alice_client.get(where).status_code == 200


def test_finds_none_in_a_steady_course(alice_client: Client, project: Project) -> None:
    spend_days(project, spike=None)
    page = details(alice_client, project)
    assert "table-anomalies" not in page.source
    assert "None, or fewer than 21 days" in page.text


def test_says_nothing_of_a_short_history() -> None:
    first = date(2026, 3, 2)
    days = {first + timedelta(days=place): DaySpend(1.0, 1) for place in range(20)}
    days[first + timedelta(days=20)] = DaySpend(99.0, 99)
    last = first + timedelta(days=20)
    assert find_anomalies(days, {}, first=first, last=last, judged=14) == []


@pytest.fixture
def priced(project: Project, alice: User) -> None:
    """The price of atlas-large doubles yesterday at midnight."""
    actor = Actor(kind="user", id=alice.pk, name=alice.email)
    for starts_on, factor in ((date(2026, 1, 1), 1), (TODAY, 2)):
        rates = {
            "input": f"{10 * factor}",
            "output": "20",
            "cached_read": f"{1 * factor}",
            "cache_write": f"{12 * factor}",
        }
        add_own_price(
            project=project,
            provider="acme",
            model="atlas-large",
            rates=rates,
            starts_on=starts_on,
            actor=actor,
            now=clock.now(),
        )


@pytest.mark.usefixtures("priced")
def test_works_out_what_caches_saved_by_the_price_of_each_day(
    alice_client: Client, project: Project, send: Send
) -> None:
    send(
        project,
        *calls(2, hours_ago=2, input_tokens=1000, cached_input_tokens=600, cache_write_tokens=100),
        *calls(3, hours_ago=20, input_tokens=1000, cached_input_tokens=600, cache_write_tokens=100),
        *calls(1, hours_ago=2, request_model="nobody", input_tokens=50, cached_input_tokens=20, cost_usd=None),
    )
    page = details(alice_client, project)
    # A call of yesterday: 600 × (10 − 1) − 100 × (12 − 10) = 5,200 millionths; of today twice that.
    assert page.table("table-cache")["atlas-large"]["Saved"] == "$0.0364"
    assert page.table("table-cache")["nobody"]["Saved"] == "–"
    assert page.stat("Saved by caches").startswith("$0.0364 20 cached tokens have no price")


def test_counts_failed_tasks_into_what_a_success_costs(alice_client: Client, project: Project, send: Send) -> None:
    keep(
        send,
        project,
        [
            *(a_task(2, "look_up") for _ in range(3)),
            a_task(3, "look_up!", status="error", error_type="boom"),
        ],
    )
    page = details(alice_client, project)
    # Four tasks of $0.02, three of which succeeded.
    assert page.table("table-successes")["answers"] == {
        "Tasks": "4",
        "Succeeded": "3",
        "Spend": "$0.0800",
        "Per success": "$0.0267",
    }
    assert page.stat("Per successful task").startswith("$0.0267 3 of 4 tasks succeeded")


def test_keeps_evals_and_judges_apart_and_names_the_dearest(alice_client: Client, project: Project, send: Send) -> None:
    send(
        project,
        *calls(4, hours_ago=2, cost_usd="0.50", user_id="anna"),
        *calls(2, hours_ago=2, cost_usd="0.25", feature="search"),
        *calls(1, hours_ago=2, cost_usd="0.10", user_id="bert"),
    )
    evals = Span.objects.filter(project_id=project.pk, feature="search")
    assert evals.update(source="eval") == 2
    assert Span.objects.filter(project_id=project.pk, user_id="bert").update(source="judge") == 1
    page = details(alice_client, project)
    assert page.stat("Answering").startswith("$2.00 4 calls")
    assert page.stat("Evals, judges, trials").startswith("$0.600 3 calls")
    assert page.table("table-top-feature")["support-answers"]["Spend"] == "$2.10"
    assert page.table("table-top-sources")["judge"]["Spend"] == "$0.100"
    users = Page(alice_client.get(f"/p/{project.slug}/costs/users"))
    assert {name: row["Spend"] for name, row in users.table("table-users").items()} == {
        "anna": "$2.00",
        "no user": "$0.500",
        "bert": "$0.100",
    }
    whole = alice_client.get(f"/p/{project.slug}/costs")
    assert f'href="/p/{project.slug}/costs/details' in whole.text
    fragment = alice_client.get(f"/p/{project.slug}/costs/details", headers={"HX-Request": "true"}).text
    assert fragment.lstrip().startswith('<div class="stack" id="cost-details">')


def test_divides_what_scored_tasks_cost_by_those_done(
    alice_client: Client, alice: User, project: Project, send: Send
) -> None:
    made = calls(4, hours_ago=2, cost_usd="0.30")
    send(project, *made)
    told = zip((call["trace_id"] for call in made), (1, 1, 0), strict=False)
    scores = [{"trace_id": trace, "name": "task_completion", "value": value} for trace, value in told]
    answer = Api(user=alice).post(f"/api/v1/scores?project={project.slug}", {"scores": scores})
    assert answer.json()["stored"] == 3
    Score.objects.update(at=NOW - timedelta(hours=1))
    page = Page(alice_client.get(f"/p/{project.slug}/costs/users"))
    # Three scored traces of $0.30, two of them done; the fourth has no score.
    assert "Per task scored as done $0.450" in page.text
    assert "2 of 3 traces" in page.text
