"""Unpriced calls: found, priced, and their costs worked out anew, exactly once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.projects.models import AuditEntry, Project
from apps.providers.models import Price, Reprice
from apps.telemetry.models import CostDay, CostHour, Span
from apps.telemetry.services import repricing
from apps.telemetry.services.rollups import rebuild, roll_up
from tests.conftest import Api
from tests.dashboards.conftest import NOW, Send, calls
from tests.dashboards.pages import Page

pytestmark = pytest.mark.usefixtures("at_noon")

HOUSE: dict[str, Any] = {"provider": "house", "request_model": "house-1", "cost_usd": None}
RATES = {"input": "2", "output": "10", "cached_read": "0.5"}
# 100 tokens in of which 40 are cached, 10 out: 60 × 2 + 40 × 0.5 + 10 × 10 dollars a million.
EACH = Decimal("0.00024")
WISH = {"model": "house-1", "provider": "house", "starts_on": "2026-03-01"}


@pytest.fixture
def unpriced(send: Send, project: Project) -> None:
    """Seven unpriced calls on two days, one before the first day of the price, and three with a price."""
    send(
        project,
        *calls(4, hours_ago=2, cached_input_tokens=40, **HOUSE),
        *calls(3, hours_ago=26, cached_input_tokens=40, **HOUSE),
        *calls(3, hours_ago=2, cost_usd="0.01"),
    )
    while roll_up().hours:
        pass


def records(project: Project) -> list[tuple[Any, ...]]:
    """Every cost record of hours and days, as far as it has to do with money."""
    hours = CostHour.objects.filter(project_id=project.pk).order_by("hour", "model")
    days = CostDay.objects.filter(project_id=project.pk).order_by("day", "model")
    return [
        *hours.values_list("hour", "model", "calls", "unpriced_calls", "cost_usd", "input_tokens"),
        *days.values_list("day", "model", "calls", "unpriced_calls", "cost_usd", "input_tokens"),
    ]


def first_day() -> str:
    return (NOW - timedelta(days=2)).date().isoformat()


def reprice(api: Api, project: Project, **changes: Any) -> Any:
    body = {**WISH, "starts_on": first_day(), **changes}
    return api.post(f"/api/v1/costs/reprice?project={project.slug}", body)


@pytest.fixture
def api(alice: User) -> Api:
    return Api(user=alice)


@pytest.mark.usefixtures("unpriced")
def test_previews_without_changing_anything(api: Api, project: Project) -> None:
    before = records(project)
    answer = reprice(api, project, rates=RATES).json()
    assert answer["reprice"] is None
    shown = answer["preview"]
    assert (shown["seen_calls"], shown["changed_calls"], shown["newly_priced_calls"]) == (7, 7, 7)
    assert (shown["before_usd"], Decimal(shown["after_usd"])) == (None, 7 * EACH)
    assert [(day["seen_calls"], Decimal(day["after_usd"])) for day in shown["days"]] == [(3, 3 * EACH), (4, 4 * EACH)]
    assert shown["is_whole"]
    assert records(project) == before
    assert not Price.objects.filter(project=project).exists()
    assert not Reprice.objects.exists()


@pytest.mark.usefixtures("unpriced")
def test_works_costs_out_exactly_and_keeps_who_when_and_both_sums(api: Api, project: Project) -> None:
    work = reprice(api, project, rates=RATES, apply=True).json()["reprice"]
    assert work["status"] == "waiting"
    repricing.run(Reprice.objects.get(uuid=work["id"]).pk, now=NOW)
    spans = Span.objects.filter(project_id=project.pk, model="house-1")
    price = Price.objects.get(project=project)
    assert set(spans.values_list("cost_usd", "price_id")) == {(EACH, price.pk)}
    assert set(Span.objects.filter(model="atlas-large").values_list("cost_usd", flat=True)) == {Decimal("0.01")}

    (told,) = api.get(f"/api/v1/costs/reprice?project={project.slug}").json()["items"]
    assert (told["status"], told["requested_by"]) == ("finished", "alice@example.com")
    assert (told["seen_calls"], told["changed_calls"], told["still_unpriced_calls"]) == (7, 7, 0)
    assert (told["before_usd"], Decimal(told["after_usd"])) == (None, 7 * EACH)
    actions = AuditEntry.objects.filter(project_id=project.pk).order_by("number").values_list("action", flat=True)
    assert list(actions)[-3:] == ["providers.price_added", "telemetry.reprice_requested", "telemetry.repriced"]

    while roll_up().hours:
        pass
    rolled = records(project)
    rebuild(project.pk, first=(NOW - timedelta(days=3)).date(), last=NOW.date(), now=NOW)
    assert rolled == records(project)
    assert sum(row[3] for row in rolled) == 0
    assert api.get(f"/api/v1/costs/unpriced?project={project.slug}").json()["items"] == []


@pytest.mark.usefixtures("unpriced")
def test_has_one_effect_when_asked_twice(api: Api, project: Project) -> None:
    first = reprice(api, project, rates=RATES, apply=True).json()["reprice"]
    assert reprice(api, project, rates=RATES, apply=True).json()["reprice"]["id"] == first["id"]
    work = Reprice.objects.get()
    repricing.run(work.pk, now=NOW)
    repricing.run(work.pk, now=NOW)
    work.refresh_from_db()
    assert (work.changed_calls, work.after_usd) == (7, 7 * EACH)
    again = reprice(api, project, apply=True)
    assert (again.status_code, again.json()["error"]["code"]) == (422, "nothing_to_reprice")
    assert Reprice.objects.count() == 1


@pytest.mark.usefixtures("unpriced")
def test_goes_on_where_a_killed_job_stopped(api: Api, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "CALLS_PER_PORTION", 3)
    reprice(api, project, rates=RATES, apply=True)
    work = Reprice.objects.get()
    real, turns = repricing.reprice_portion, iter([True, False])

    def dying(reprice_id: int) -> bool:
        if not next(turns):
            raise KeyboardInterrupt
        return real(reprice_id)

    monkeypatch.setattr(repricing, "reprice_portion", dying)
    with pytest.raises(KeyboardInterrupt):
        repricing.run(work.pk, now=NOW)
    work.refresh_from_db()
    assert (work.status, work.changed_calls) == ("running", 3)
    monkeypatch.setattr(repricing, "reprice_portion", real)
    assert repricing.run(work.pk, now=NOW) is False
    work.refresh_from_db()
    assert work.status == "running", "the lease of the dead one still holds"
    repricing.run(work.pk, now=NOW + repricing.LEASE + timedelta(minutes=1))
    work.refresh_from_db()
    assert (work.status, work.seen_calls, work.changed_calls, work.after_usd) == ("finished", 7, 7, 7 * EACH)


@pytest.mark.usefixtures("unpriced")
def test_leaves_frozen_costs_unless_asked(api: Api, project: Project) -> None:
    reprice(api, project, rates=RATES, apply=True)
    repricing.run(Reprice.objects.get().pk, now=NOW)
    later = (NOW - timedelta(days=1)).date().isoformat()
    dearer = {"input": "4", "output": "20", "cached_read": "1"}
    assert reprice(api, project, rates=dearer, starts_on=later).json()["preview"]["changed_calls"] == 0
    answer = reprice(api, project, rates=dearer, starts_on=later, includes_priced=True)
    shown = answer.json()["preview"]
    touched = shown["seen_calls"]
    assert touched
    assert (Decimal(shown["before_usd"]), Decimal(shown["after_usd"])) == (touched * EACH, touched * 2 * EACH)


@pytest.mark.parametrize("apply", [True, False])
def test_lets_only_admins_price(project: Project, bob: User, read_key: str, other_key: str, apply: bool) -> None:
    assert reprice(Api(user=bob), project, apply=apply).status_code == 403
    assert Api(read_key).post("/api/v1/costs/reprice", WISH).status_code == 403
    assert Api(user=bob).get(f"/api/v1/costs/reprice?project={project.slug}").status_code == 200
    assert Api(other_key).get(f"/api/v1/costs/unpriced?project={project.slug}").status_code in {403, 404}


def test_offers_listed_models_with_names_alike(alice_client: Client, project: Project) -> None:
    for name, rates in (("atlas-5-mini", {"input": "0.25", "output": "2"}), ("other-9", {"input": "7"})):
        Price.objects.create(source="litellm", provider="acme", model=name, starts_on="2026-01-01", rates=rates)
    where = f"/p/{project.slug}/costs/unpriced/price?model=atlas-5-mini-2026&provider=acme"
    page = Page(alice_client.get(where))
    assert list(page.table("table-similar")) == ["atlas-5-mini"]
    assert 'value="0.25"' in Page(alice_client.get(page.link("Take over atlas-5-mini"))).source


@pytest.mark.usefixtures("unpriced")
def test_sets_a_price_by_the_page_alone(alice_client: Client, project: Project) -> None:
    with CaptureQueriesContext(connection) as asked:
        inbox = Page(alice_client.get(f"/p/{project.slug}/costs/unpriced"))
    assert len(asked) <= 12
    assert inbox.answer == "7 calls of one model have no price."
    row = inbox.table("table-unpriced")["house-1"]
    assert (row["Unpriced calls"], row["Tokens in"]) == ("7", "700")
    where = inbox.link("Set price house-1")
    assert alice_client.get(where).status_code == 200
    typed = {**WISH, "starts_on": first_day(), **RATES}
    shown = Page(alice_client.post(where, {**typed, "preview": "1"}))
    assert [row["After"] for row in shown.table("table-preview").values()] == ["$0.00072", "$0.00096"]
    assert not Reprice.objects.exists()
    assert alice_client.post(where, {**typed, "apply": "1"}).status_code == 302
    repricing.run(Reprice.objects.get().pk, now=NOW)
    done = Page(alice_client.get(f"/p/{project.slug}/costs/unpriced"))
    assert done.answer == "Every call in this time has a price."
    assert done.table("table-reprices")["house-1"]["After"] == "$0.00168"
