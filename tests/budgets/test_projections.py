"""Projections through pages, API and jobs: frozen, approved by somebody else, compared with what was spent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from apps.accounts.models import User
from apps.alerts.models import Notice
from apps.budgets.models import Projection
from apps.budgets.selectors import projections as selectors
from apps.budgets.services import projections as services
from apps.core import clock
from apps.projects.models import AuditEntry, Membership, Project, Role, Scope
from apps.providers.selectors import price_book
from tests import factories
from tests.conftest import Api, page_client
from tests.dashboards.conftest import Send, a_call
from tests.dashboards.conftest import send as send
from tests.telemetry.conftest import EMPTY

NOW = factories.NOW
INPUTS = {
    "traffic": "typed",
    "calls_per_second": "0.01",
    "tokens": "typed",
    "input_mean": "1000",
    "input_p95": "2000",
    "output_mean": "100",
    "output_p95": "200",
    "provider": "acme",
    "model": "atlas-large",
}
BODY = {"name": "Answers in spring", "feature": "support-answers", "environment": "production", "inputs": INPUTS}
URL = "/api/v1/projections"


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """What every door reads as the time; a test may move it."""
    holder = [NOW]
    monkeypatch.setattr(clock, "now", lambda: holder[0])
    return holder


@pytest.fixture
def priced(project: Project, admin_key: str, moment: list[datetime]) -> None:
    """The model has a price of the project's own."""
    rates = {"input": "2", "cached_read": "0.5", "output": "8"}
    told = {"provider": "acme", "model": "atlas-large", "starts_on": "2026-01-01", "rates": rates}
    assert Api(admin_key).post("/api/v1/prices", told).status_code == 201
    price_book.forget()


@pytest.fixture
def rita(project: Project) -> User:
    """A reviewer."""
    user = factories.make_user("rita@example.com", name="Rita")
    factories.make_member(project, user, role=Role.REVIEWER)
    return user


def make(api: Api, **changes: Any) -> dict[str, Any]:
    answer = api.post(URL, {**BODY, "ask": True, **changes})
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def test_freezes_what_was_seen_and_a_later_price_does_not_rewrite_it(
    alice_api: Api, admin_key: str, rita: User, priced: None, project: Project
) -> None:
    made = make(alice_api)
    assert made["state"] == "asked"
    assert made["numbers"]["month_calls"] == "26280.00"  # 0.01 x 86,400 x 365/12
    assert made["numbers"]["per_call_usd"] == "0.002800000000"  # 1000 x 2 + 100 x 8
    assert Decimal(made["numbers"]["month_usd"]) == Decimal("73.584")
    approved = Api(user=rita).post(f"{URL}/{made['id']}/approve", {"reason": "Fits the plan."})
    assert approved.status_code == 200
    assert (approved.json()["state"], approved.json()["decided_by"]) == ("approved", "rita@example.com")

    rates = {"input": "200", "output": "800"}
    told = {"provider": "acme", "model": "atlas-large", "starts_on": NOW.date().isoformat(), "rates": rates}
    assert Api(admin_key).post("/api/v1/prices", told).status_code == 201
    price_book.forget()
    after = alice_api.get(f"{URL}/{made['id']}").json()
    same = ("numbers", "price", "inputs", "content_hash")
    assert {name: after[name] for name in same} == {name: made[name] for name in same}
    revised = make(alice_api, revises=made["id"])
    assert (revised["revision"], revised["lineage"]) == (2, made["lineage"])
    assert Decimal(revised["numbers"]["month_usd"]) == Decimal("7358.4")
    row = Projection.objects.get(uuid=made["id"])
    assert services.hash_of(row) == row.content_hash
    assert selectors.latest_approved(project, "support-answers", "production", NOW).state == "approved"
    later = NOW + services.VALID_FOR
    assert selectors.latest_approved(project, "support-answers", "production", later).state == "expired"
    assert selectors.latest_approved(project, "other", "production", NOW).state == "none"
    actions = set(AuditEntry.objects.filter(project_id=project.pk).values_list("action", flat=True))
    assert {"budgets.projection_made", "budgets.projection_asked", "budgets.projection_approved"} <= actions


@pytest.mark.parametrize("column", ["month_usd = 1", "numbers = '{}'", "price = '{}'", "state = 'draft'"])
def test_the_database_lets_nobody_change_an_approved_one(alice_api: Api, rita: User, priced: None, column: str) -> None:
    made = make(alice_api)
    assert Api(user=rita).post(f"{URL}/{made['id']}/approve").status_code == 200

    with pytest.raises(IntegrityError, match="frozen"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE budgets_projection SET {column}")


def test_its_author_cannot_approve_it_in_any_way(
    alice_api: Api, alice: User, alice_client: Client, project: Project, priced: None
) -> None:
    made = make(alice_api)
    address = f"{URL}/{made['id']}/approve"
    second_key = factories.make_key(project, Scope.ADMIN, created_by=alice)

    for api in (alice_api, Api(second_key)):
        answer = api.post(address)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "may_not_decide")
    page = f"/p/{project.slug}/costs/projections/{made['id']}"
    answer = alice_client.post(f"{page}/decide", {"decision": "approve"}, follow=True)
    assert "does not decide on it, with any key" in answer.content.decode()
    with pytest.raises(IntegrityError, match="not_by_its_author"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE budgets_projection SET state = 'approved', decided_by_id = %s, decided_at = now(), "
            "valid_until = now()",
            [alice.pk],
        )
    assert Projection.objects.get(uuid=made["id"]).state == "asked"


def test_an_approver_who_lost_the_role_is_refused(alice_api: Api, rita: User, priced: None, project: Project) -> None:
    made = make(alice_api)
    key = factories.make_key(project, Scope.ADMIN, created_by=rita)
    Membership.objects.filter(user=rita).update(role=Role.EDITOR)

    answer = Api(user=rita).post(f"{URL}/{made['id']}/approve")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "may_not_decide")
    assert Api(key).post(f"{URL}/{made['id']}/approve").status_code in (401, 403)
    with pytest.raises(services.MayNotDecide, match="role editor"):
        services.approve(projection=Projection.objects.get(), actor=factories.actor_of(rita), person=rita, now=NOW)


def test_rejects_with_a_reason_and_only_what_waits(alice_api: Api, rita: User, priced: None) -> None:
    made = make(alice_api)
    api = Api(user=rita)

    assert api.post(f"{URL}/{made['id']}/reject", {"reason": "  "}).status_code == 422
    assert api.post(f"{URL}/{made['id']}/reject", {"reason": "Twice the plan."}).json()["state"] == "rejected"
    answer = api.post(f"{URL}/{made['id']}/approve")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_waiting")


def test_says_what_to_do_about_a_model_without_a_price(alice_api: Api, priced: None) -> None:
    answer = alice_api.post(URL, {**BODY, "inputs": {**INPUTS, "model": "unheard-of"}})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unpriced_model")
    assert "acme/unheard-of" in answer.json()["error"]["message"]
    assert "Settings, Prices" in answer.json()["error"]["message"]
    assert not Projection.objects.exists()


@pytest.mark.parametrize(
    "field", ["calls_per_second", "input_mean", "factor", "traffic_uncertainty", "cache_rate", "reasoning_share"]
)
def test_refuses_hostile_numbers(alice_api: Api, priced: None, field: str) -> None:
    for value in (-1, "1e308", "NaN", "Infinity", 10**30, "x", "-0.0001", [1]):
        answer = alice_api.post(URL, {**BODY, "inputs": {**INPUTS, field: value}})
        assert answer.status_code == 422, (field, value)
    assert not Projection.objects.exists()


def test_refuses_what_is_not_its_own_or_not_known(
    alice_api: Api, bob_api: Api, other_key: str, read_key: str, priced: None
) -> None:
    made = make(alice_api)

    assert Api(other_key).get(f"{URL}/{made['id']}").status_code == 404
    assert Api(other_key).post(f"{URL}/{made['id']}/approve").status_code == 404
    assert Api(read_key).post(URL, BODY).status_code == 403
    assert bob_api.post(URL, BODY).status_code == 403
    assert Api(read_key).get(URL).json()["items"][0]["id"] == made["id"]
    assert alice_api.post(URL, {**BODY, "colour": "red"}).status_code == 422
    assert alice_api.post(URL, {**BODY, "environment": "moon"}).status_code == 404
    assert alice_api.post(f"{URL}/{made['id']}/ask").json()["error"]["code"] == "not_a_draft"


def test_projects_from_the_calls_that_were_made(alice_api: Api, project: Project, priced: None, send: Send) -> None:
    calls = [
        a_call(
            started_at=(NOW - timedelta(days=day, minutes=minute)).isoformat(),
            input_tokens=1000,
            cached_input_tokens=500,
            output_tokens=100,
        )
        for day in range(1, 8)
        for minute in range(10)
    ]
    of_an_eval = [a_call(input_tokens=50_000, output_tokens=0) for _ in range(20)]
    send(project, *calls, *of_an_eval)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE telemetry_span SET source = 'eval' WHERE input_tokens = 50000")

    inputs = {"traffic": "measured", "factor": "3", "tokens": "telemetry", "provider": "acme", "model": "atlas-large"}
    made = make(alice_api, inputs=inputs)

    numbers = made["numbers"]
    assert Decimal(numbers["per_call_usd"]) == Decimal("0.00205")  # 500 x 2 + 500 x 0.5 + 100 x 8
    assert {Decimal(each) for each in numbers["calls_by_weekday"]} == {Decimal(30)}
    cells = alice_api.post(f"{URL}/{made['id']}/what-if", {"cache_rates": ["0", "1"]}).json()["items"]
    assert [cell["per_call_usd"] for cell in cells[:2]] == ["0.0028", "0.0013"]
    from_evals = make(alice_api, inputs={**INPUTS, "tokens": "eval"})
    assert (from_evals["numbers"]["per_call_usd"], from_evals["numbers"]["sample_size"]) == ("0.100000000000", 20)
    few = alice_api.post(URL, {**BODY, "feature": "other", "inputs": inputs}).json()["error"]
    assert (few["code"], "0 calls in 28 days" in few["message"]) == ("nothing_to_project", True)
    odd = {"models": [{"model": "unheard-of"}], "cache_rates": ["0"]}
    assert "no price" in alice_api.post(f"{URL}/{made['id']}/what-if", odd).json()["items"][1]["problem"]


def test_the_pages_show_it_and_decide_on_it(
    alice_client: Client, rita: User, bob: User, project: Project, priced: None, send: Send, moment: list[datetime],
    django_assert_max_num_queries: Any,
) -> None:  # fmt: skip
    base = f"/p/{project.slug}/costs/projections"
    send(project, a_call())
    form = {
        "name": "Answers in spring", "environment": "production", "feature": "support-answers", "model": "atlas-large",
        "provider": "acme", "traffic": "typed", "calls_per_second": "0.01", "day_shape": "even", "weekend": "100",
        "tokens": "typed", "input_mean": "1000", "input_p95": "2000", "output_mean": "100", "level": "0.9",
    }  # fmt: skip
    assert "What will a month of your feature cost?" in alice_client.get(base).content.decode()
    live = alice_client.get(f"{base}/result", form, headers={"HX-Request": "true"})
    assert "$73.58" in live.content.decode()
    assert "$73.58" in alice_client.get(f"{base}/new", form).content.decode()
    bad = alice_client.post(f"{base}/new", {**form, "calls_per_second": "NaN"})
    assert bad.status_code == 422
    assert page_client(bob).post(f"{base}/new", form).status_code == 403
    address = alice_client.post(f"{base}/new", form)["Location"]
    assert alice_client.post(f"{address}/decide", {"decision": "ask"}).status_code == 302
    rita_client = page_client(rita)
    assert "Waits for you" in rita_client.get(base).content.decode()
    assert "Waits for you" not in page_client(bob).get(base).content.decode()
    assert rita_client.post(f"{address}/decide", {"decision": "reject", "reason": ""}).status_code == 422
    assert rita_client.post(f"{address}/decide", {"decision": "approve"}).status_code == 302

    moment[0] = NOW + timedelta(days=2)
    bob_client = page_client(bob)
    with django_assert_max_num_queries(12):
        page = bob_client.get(address).content.decode()
    assert "Too early to say" in page
    assert "Does each day cost what was projected?" in page
    with django_assert_max_num_queries(12):
        assert "Approved" in bob_client.get(base).content.decode()
    with django_assert_max_num_queries(12):
        table = bob_client.get(f"{address}/what-if", {"model": "acme/nothing"}).content.decode()
    assert "It has no price" in table
    assert "$73.58" in table


def test_compares_month_by_month_over_full_days(
    alice_api: Api, rita: User, priced: None, project: Project, moment: list[datetime], send: Send
) -> None:
    moment[0] = NOW - timedelta(days=40)  # 23 January
    made = make(alice_api)
    Api(user=rita).post(f"{URL}/{made['id']}/approve")
    a_day = [
        a_call(started_at=(NOW - timedelta(days=day)).isoformat(), input_tokens=1000, output_tokens=100)
        for day in range(45)
    ]
    send(project, *a_day)

    found = selectors.course_of(project, Projection.objects.get(), now=NOW)

    spans = [(month.first.isoformat(), month.last.isoformat(), month.calls) for month in found.months]
    assert spans == [
        ("2026-03-01", "2026-03-03", 3),
        ("2026-02-01", "2026-02-28", 28),
        ("2026-01-24", "2026-01-31", 8),
    ]
    assert [month.actual_usd for month in found.months] == [Decimal("0.0028") * calls for calls in (3, 28, 8)]
    assert len(found.days) == 31


@pytest.fixture
def emptied(transactional_db: None) -> Iterator[None]:
    """Spans with real commits are emptied, as Django does not do it."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)


@pytest.mark.django_db(transaction=True)
def test_tells_drift_once_whoever_evaluates(
    emptied: None, alice_api: Api, rita: User, priced: None, project: Project, send: Send, moment: list[datetime]
) -> None:
    moment[0] = NOW - timedelta(days=6)
    made = make(alice_api)
    assert Api(user=rita).post(f"{URL}/{made['id']}/approve").status_code == 200
    moment[0] = NOW
    calls = [
        a_call(started_at=(NOW - timedelta(days=day, minutes=minute)).isoformat(), input_tokens=2_000_000)
        for day in range(1, 6)
        for minute in range(40)
    ]
    send(project, *calls)

    def evaluate(_: int) -> int:
        try:
            return services.tell_drift(now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        told = sum(pool.map(evaluate, range(8)))

    assert told == 1
    assert Notice.objects.filter(key=f"projection:{made['id']}:{NOW:%Y-%m}", kind="projection").count() == 1
    assert services.tell_drift(now=NOW) == 0
    found = selectors.latest_approved(project, "support-answers", "production", NOW)
    assert found.state == "drifted"
    assert found.comparison is not None
    assert found.comparison.effects.total_usd == found.comparison.actual_usd - found.comparison.projected_usd
    assert found.comparison.effects.tokens_usd > 0 > found.comparison.effects.traffic_usd
