"""Spend budgets: made by the API and the pages, evaluated, and told exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from apps.alerts.models import Notice
from apps.budgets import health
from apps.budgets.models import Budget, BudgetAlert
from apps.budgets.scopes import SpendScope
from apps.budgets.selectors.hard import hard_budgets
from apps.budgets.selectors.spend import read_days, read_spend
from apps.budgets.services import evaluating
from apps.budgets.spend_periods import PeriodKind, before, period_at, period_of
from apps.projects.models import AuditEntry, Project
from apps.telemetry.models import Span
from tests.conftest import Api, page_client
from tests.dashboards.conftest import NOW, Send, a_call, calls
from tests.dashboards.conftest import at_noon as at_noon
from tests.dashboards.conftest import send as send
from tests.telemetry.conftest import span_tables as span_tables

AT = "/api/v1/budgets"
MINUTE = timedelta(minutes=1)


def budget(admin: Api, **changes: Any) -> dict[str, Any]:
    body = {"name": "All", "period": "month", "amount_usd": "1", **changes}
    answer = admin.post(AT, body)
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def told(project: Project) -> list[str]:
    return list(Notice.objects.filter(project=project, kind="budget").order_by("pk").values_list("title", flat=True))


def rows() -> list[tuple[int, bool]]:
    found = BudgetAlert.objects.filter(kind="threshold").order_by("pk")
    return [(one.threshold, one.rearmed_at is not None) for one in found]


@pytest.fixture
def admin(admin_key: str, at_noon: datetime) -> Api:
    return Api(admin_key)


@pytest.mark.django_db
def test_tells_a_jump_in_order_and_nothing_twice(admin: Api, project: Project, send: Send) -> None:
    made = budget(admin)
    send(project, *calls(40, hours_ago=3))
    assert evaluating.evaluate_all(now=NOW) == 0
    send(project, *calls(80, hours_ago=2), a_call(cost_usd=None, request_model="unheard-of"))
    assert evaluating.evaluate_all(now=NOW) == 3
    assert told(project) == [f"All: {share} % of the month's budget is spent" for share in (50, 80, 100)]
    first = Notice.objects.filter(project=project).order_by("pk")[0]
    assert first.path == f"/p/{project.slug}/budgets/{made['id']}"
    assert "$1.20 of $1.00 spent in 2026-03 by the whole project, in 121 calls." in first.text
    assert "The cost of 1 calls is unknown" in first.text
    assert [one.level for one in Notice.objects.filter(project=project).order_by("pk")] == ["info", "warn", "bad"]
    assert evaluating.evaluate_all(now=NOW + MINUTE) == 0

    # Twice the amount: 60 % are spent, so 50 stays told, and what is out of reach again is armed.
    place = f"{AT}/{made['id']}"
    assert admin.put(place, {"name": "All", "period": "month", "amount_usd": "2"}).status_code == 200
    assert rows() == [(50, False), (80, True), (100, True)]
    assert evaluating.evaluate_all(now=NOW + MINUTE) == 0
    send(project, *calls(50, hours_ago=1))
    assert evaluating.evaluate_all(now=NOW + 2 * MINUTE) == 1
    assert rows() == [(50, False), (80, True), (100, True), (80, False)]
    shown = admin.get(place).json()
    assert (shown["spent_usd"], shown["left_usd"], shown["share"]) == ("1.7", "0.3", "0.85")
    assert AuditEntry.objects.filter(action__in=["budgets.made", "budgets.changed"]).count() == 2


@pytest.mark.django_db
def test_late_spend_is_told_of_its_own_period(admin: Api, project: Project, send: Send) -> None:
    budget(admin, name="A day", period="day")
    Budget.objects.update(created_at=NOW - timedelta(days=3))
    send(project, *calls(60, hours_ago=20))  # yesterday
    assert evaluating.evaluate_all(now=NOW) == 1
    alert = BudgetAlert.objects.get()
    assert (alert.period_on, alert.threshold) == (NOW.date() - timedelta(days=1), 50)
    send(project, *calls(60, hours_ago=70))  # longer ago than late calls are waited for
    assert evaluating.evaluate_all(now=NOW) == 0


@pytest.mark.django_db
def test_what_is_not_committed_was_not_told(
    admin: Api, project: Project, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget(admin)
    send(project, *calls(60, hours_ago=1))

    def dies(**_: Any) -> None:
        raise SystemExit  # as a process that is killed between deciding and telling

    def evaluates() -> None:
        with transaction.atomic():
            evaluating.evaluate_all(now=NOW)

    with monkeypatch.context() as broken:
        broken.setattr(evaluating, "notify", dies)
        pytest.raises(SystemExit, evaluates)
    assert (BudgetAlert.objects.count(), told(project)) == (0, [])
    assert evaluating.evaluate_all(now=NOW) == 1
    assert len(told(project)) == 1


def test_racing_evaluators_tell_once(
    span_tables: None, project: Project, admin_key: str, at_noon: datetime, send: Send
) -> None:
    admin = Api(admin_key)
    budget(admin)
    budget(admin, name="Production", period="day", scope={"feature": "support-answers"})
    send(project, *calls(120, hours_ago=1))
    start, told_by = threading.Barrier(24), []

    def work() -> None:
        try:
            start.wait()
            told_by.append(evaluating.evaluate_all(now=NOW))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(24)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(told_by) == 6
    assert BudgetAlert.objects.count() == len(told(project)) == 6
    for one in Budget.objects.all():
        assert list(one.alerts.order_by("pk").values_list("threshold", flat=True)) == [50, 80, 100]


@pytest.mark.django_db
def test_says_when_a_month_will_not_do(admin: Api, project: Project, send: Send) -> None:
    for ago in range(1, 40):
        send(project, *calls(10, hours_ago=24 * ago + 1))
    made = budget(admin, amount_usd="2.5")  # 0.1 a day, and noon of the 14th or so
    assert evaluating.evaluate_all(now=NOW) >= 1
    alert = BudgetAlert.objects.get(kind="forecast")
    assert alert.crosses_on is not None
    assert NOW.date() < alert.crosses_on <= period_at(PeriodKind.MONTH, NOW, ZoneInfo("UTC")).last
    assert any("will be spent by" in title for title in told(project))
    before_that = len(told(project))
    assert evaluating.evaluate_all(now=NOW + MINUTE) == 0
    assert len(told(project)) == before_that
    shown = admin.get(f"{AT}/{made['id']}").json()
    assert shown["forecast_low_usd"] <= shown["forecast_usd"] <= shown["forecast_high_usd"]


@pytest.mark.django_db
def test_narrows_by_every_dimension_and_by_user(admin: Api, project: Project, send: Send) -> None:
    mine = {
        "environment": "staging",
        "feature": "search",
        "provider": "umbra",
        "model": "atlas-small",
        "source": "eval",
    }
    there = {**mine, "request_model": mine["model"], "user_id": "u-1"}
    del there["model"]
    send(project, *calls(30, hours_ago=1, **there), *calls(5, hours_ago=1))
    zone, start = ZoneInfo("UTC"), NOW - timedelta(days=1)
    assert Span.objects.filter(project_id=project.pk, feature="search").update(source="eval") == 30
    for name, value in (*mine.items(), ("user_id", "u-1")):
        found = read_spend(project, SpendScope(**{name: value}), start=start, end=NOW)
        assert (found.cost_usd, found.calls) == (Decimal("0.30"), 30), name
        days = read_days(project, SpendScope(**{name: value}), first=NOW.date(), last=NOW.date())
        assert [each.cost_usd for each in days] == [Decimal("0.30")], name
    budget(admin, name="Evals", period="day", amount_usd="0.3", hard=True, scope={"source": "eval"})
    budget(admin, name="Other", hard=True, scope={"source": "judge"})
    left = hard_budgets(project, SpendScope(source="eval", feature="search"), now=NOW)
    assert [(one.budget.name, one.left_usd) for one in left] == [("Evals", 0)]
    assert period_at(PeriodKind.DAY, NOW, zone).key == NOW.date().isoformat()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "first", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 28), [24, 23, 24]),
        ("Europe/Berlin", date(2026, 10, 24), [24, 25, 24]),
        ("Asia/Kolkata", date(2026, 1, 31), [24, 24, 24]),
        ("America/St_Johns", date(2026, 3, 7), [24, 23, 24]),
    ],
)
def test_periods_hold_each_call_once(project: Project, send: Send, name: str, first: date, hours: list[int]) -> None:
    zone = ZoneInfo(name)
    project.timezone = name
    project.save(update_fields=["timezone"])
    days = [period_of(PeriodKind.DAY, first + timedelta(days=place), zone) for place in range(3)]
    assert [(one.end - one.start) // timedelta(hours=1) for one in days] == hours
    assert all(one.end == after.start for one, after in zip(days, days[1:], strict=False))
    at = days[0].start
    spans = []
    while at < days[-1].end:
        spans.append(a_call(started_at=at.isoformat(), cost_usd="0.000000000001"))
        at += timedelta(minutes=30)
    now = days[-1].end + timedelta(hours=1)
    send(project, *spans, now=now)
    sums = [read_spend(project, SpendScope(), start=one.start, end=one.end).cost_usd for one in days]
    assert sums == [Decimal("0.000000000001") * 2 * each for each in hours]
    assert [each.cost_usd for each in read_days(project, SpendScope(), first=first, last=days[-1].first)] == sums
    month = period_of(PeriodKind.MONTH, first, zone)
    assert before(month, zone).end == month.start


@pytest.mark.django_db
def test_previews_the_past_before_it_is_saved(admin: Api, project: Project, send: Send, page_of_alice: Any) -> None:
    send(project, *calls(90, hours_ago=30), *calls(60, hours_ago=1))
    body = {"period": "day", "amount_usd": "1", "thresholds": [50, 80]}
    found = admin.post(f"{AT}/preview", body).json()
    assert (found["matches"], found["calls"], len(found["periods"])) == (True, 150, 30)
    assert [one["reached"] for one in found["periods"][-2:]] == [[50, 80], [50]]
    nothing = admin.post(f"{AT}/preview", {**body, "scope": {"feature": "typo"}}).json()
    assert nothing["matches"] is False
    form = {"name": "Day", "period": "day", "amount_usd": "1", "told_at": "50, 80"}
    shown = page_of_alice.get(f"/p/{project.slug}/budgets/preview", form).content.decode()
    assert "80 % would have been told in 1 period." in shown
    assert Budget.objects.count() == 0


@pytest.fixture
def page_of_alice(alice: Any) -> Any:
    return page_client(alice)


@pytest.mark.django_db
def test_the_pages_make_show_and_archive_it(
    page_of_alice: Any,
    project: Project,
    send: Send,
    at_noon: datetime,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    home = f"/p/{project.slug}/budgets"
    assert "Set the first budget" in page_of_alice.get(home).content.decode()
    bad = {"name": "Month", "period": "month", "amount_usd": "-1", "told_at": "50; many"}
    refused = page_of_alice.post(f"{home}/new", bad)
    assert refused.status_code == 422
    assert "Whole percentages" in refused.content.decode()
    good = {**bad, "amount_usd": "1.5", "told_at": "50 80 120"}
    assert page_of_alice.post(f"{home}/new", good).status_code == 302
    made = Budget.objects.get()
    assert (made.amount_usd, made.thresholds, made.period) == (Decimal("1.5"), [50, 80, 120], "month")
    assert "There is a budget named Month already" in page_of_alice.post(f"{home}/new", good).content.decode()
    for ago in range(1, 30):
        send(project, *calls(10, hours_ago=24 * ago))
    evaluating.evaluate_all(now=NOW)
    page_of_alice.get(home)  # shows the message of the last step
    for place in (home, f"{home}/{made.uuid}", f"{home}/{made.uuid}/edit", f"{home}/new"):
        with django_assert_max_num_queries(12, info=place):
            answer = page_of_alice.get(place)
        assert answer.status_code == 200
    assert "in eight of ten cases" in page_of_alice.get(f"{home}/{made.uuid}").content.decode()
    assert page_of_alice.post(f"{home}/{made.uuid}/archive").status_code == 302
    assert evaluating.evaluate_all(now=NOW) == 0
    assert "Set the first budget" in page_of_alice.get(home).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"amount_usd": "0"},
        {"amount_usd": "NaN"},
        {"amount_usd": "1e400"},
        {"amount_usd": -1},
        {"thresholds": []},
        {"thresholds": [0]},
        {"thresholds": list(range(1, 13))},
        {"period": "week"},
        {"name": "\x00"},
        {"scope": {"feature": "x" * 200}},
        {"scope": {"team": "x"}},
        {"ammount_usd": "1"},
    ],
)
def test_refuses_what_makes_no_sense(admin: Api, project: Project, change: dict[str, Any]) -> None:
    answer = admin.post(AT, {"name": "All", "period": "month", "amount_usd": "1", **change})
    assert answer.status_code in {400, 422}, answer.content
    assert Budget.objects.count() == 0


@pytest.mark.django_db
def test_is_for_admins_and_no_other_project(admin: Api, read_key: str, other_key: str, project: Project) -> None:
    made = budget(admin)
    body = {"name": "All", "period": "month", "amount_usd": "9"}
    assert Api(read_key).put(f"{AT}/{made['id']}", body).status_code == 403
    assert Api(read_key).get(f"{AT}/{made['id']}").status_code == 200
    assert Api(other_key).get(f"{AT}/{made['id']}").status_code == 404
    assert admin.post(AT, body).json()["error"]["code"] == "budget_exists"
    assert admin.delete(f"{AT}/{made['id']}").status_code == 204
    assert admin.put(f"{AT}/{made['id']}", body).json()["error"]["code"] == "budget_archived"


@pytest.mark.django_db
def test_notices_that_nobody_evaluates(admin: Api, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert health.evaluations().is_well
    budget(admin)
    assert not health.evaluations().is_well
    evaluating.evaluate_all(now=NOW)
    assert health.evaluations().is_well
    monkeypatch.setattr("apps.core.clock.now", lambda: NOW + timedelta(minutes=11))
    found = health.evaluations()
    assert (found.is_well, found.is_needed) == (False, False)
