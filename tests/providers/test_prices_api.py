"""`/api/v1/prices`: reading the price book, and prices of one's own."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from apps.core import clock
from apps.projects.models import AuditEntry, Project
from apps.providers.models import Price
from tests.conftest import Api
from tests.providers.conftest import MODELS, Sync

URL = "/api/v1/prices"
BODY = {"model": "house-model", "rates": {"input": "1.5", "output": "6"}, "starts_on": "2026-01-01"}


def test_lists_prices_by_name_page_by_page(alice_api: Api, sync: Sync) -> None:
    sync()
    names, cursor = [], ""
    for _ in range(10):
        page = alice_api.get(f"{URL}?limit=3&cursor={cursor}" if cursor else f"{URL}?limit=3").json()
        names += [item["model"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert names == sorted(MODELS)


def test_finds_a_model_by_a_part_of_its_name(alice_api: Api, sync: Sync) -> None:
    sync()

    (item,) = alice_api.get(f"{URL}?model=GPT-4&provider=Azure").json()["items"]

    row = Price.objects.get(model="azure/gpt-4o")
    assert item == {
        "id": str(row.uuid),
        "source": "litellm",
        "provider": "azure",
        "model": "azure/gpt-4o",
        "mode": "chat",
        "starts_on": "2020-01-01",
        "ends_on": None,
        "rates": {"input": "3", "output": "10"},
    }


def test_shows_the_price_of_a_day(alice_api: Api, sync: Sync) -> None:
    sync()
    for starts_on, price in (("2026-01-01", "1"), ("2026-02-01", "2")):
        body = {"model": "gpt-4o", "rates": {"input": price}, "starts_on": starts_on}
        assert alice_api.post(URL, body).status_code == 201

    def on(day: str) -> list[str]:
        items = alice_api.get(f"{URL}?source=own&on={day}").json()["items"]
        return [item["rates"]["input"] for item in items]

    assert [on(day) for day in ("2025-12-31", "2026-01-31", "2026-02-01")] == [[], ["1"], ["2"]]


def test_never_shows_the_prices_of_another_project(alice_api: Api, charlie_api: Api) -> None:
    made = charlie_api.post(URL, BODY).json()

    assert alice_api.get(f"{URL}?source=own").json()["items"] == []
    ended = alice_api.post(f"{URL}/{made['id']}/end", {})
    assert (ended.status_code, ended.json()["error"]["code"]) == (404, "not_found")
    assert Price.objects.get(project__isnull=False).ends_on is None
    cursor = Price.objects.get(project__isnull=False).pk
    assert alice_api.get(f"{URL}?cursor={cursor}").status_code == 422


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "cursor=0", "cursor=999999", "on=tomorrow", "source=theirs", "model=%00"],
)
def test_refuses_a_query_that_makes_no_sense(alice_api: Api, query: str) -> None:
    answer = alice_api.get(f"{URL}?{query}")

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid"


def test_sets_an_own_price_and_writes_it_down(alice_api: Api, project: Project) -> None:
    answer = alice_api.post(URL, {**BODY, "provider": "Azure OpenAI"})

    assert answer.status_code == 201
    row = Price.objects.get()
    assert (row.project, row.source, row.provider, row.model) == (project, "own", "azure", "house-model")
    assert (row.starts_on, row.ends_on, row.rates) == (date(2026, 1, 1), None, {"input": "1.5", "output": "6"})
    assert answer.json()["id"] == str(row.uuid)
    entry = AuditEntry.objects.get(action="providers.price_added")
    assert entry.target_name == "azure: house-model"
    assert entry.details == {"starts_on": "2026-01-01", "rates": "input=1.5, output=6"}


def test_an_own_price_begins_today_unless_told(alice_api: Api) -> None:
    alice_api.post(URL, {"model": "m", "rates": {"input": "0"}})

    assert Price.objects.get().starts_on == clock.now().date()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": ""}, "model"),
        ({"model": " "}, "model"),
        ({"model": "x" * 201}, "model"),
        ({"model": "a\u0000b"}, "model"),
        ({"provider": "google"}, "provider"),
        ({"provider": "litellm"}, "provider"),
        ({"starts_on": "soon"}, "starts_on"),
        ({"ends_on": "2026-01-01"}, "ends_on"),
        ({"rates": {}}, "rates"),
        ({"rates": {"output": "1"}}, "rates"),
        ({"rates": {"input": 2.5}}, "rates"),
        ({"rates": {"input": "-1"}}, "rates"),
        ({"rates": {"inputs": "1"}}, "rates"),
        ({"rates": "2.5"}, "rates"),
        ({"rate": {}}, "rate"),
    ],
)
def test_refuses_a_price_that_makes_no_sense(alice_api: Api, changes: dict[str, Any], field: str) -> None:
    answer = alice_api.post(URL, {**BODY, **changes})

    assert answer.status_code == 422
    assert list(answer.json()["error"]["details"]) == [field]
    assert not Price.objects.exists()
    assert not AuditEntry.objects.filter(action__startswith="providers.").exists()


def test_refuses_a_second_price_from_the_same_day(alice_api: Api) -> None:
    alice_api.post(URL, BODY)

    answer = alice_api.post(URL, {**BODY, "model": "HOUSE-model", "rates": {"input": "2"}})

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "price_exists")
    assert Price.objects.get().rates["input"] == "1.5"


def test_ends_a_price_once(alice_api: Api) -> None:
    made = alice_api.post(URL, BODY).json()
    url = f"{URL}/{made['id']}/end"

    assert alice_api.post(url, {"ends_on": "2025-12-31"}).status_code == 422
    assert alice_api.post(url, {"ends_on": "2026-02-01"}).json()["ends_on"] == "2026-02-01"
    again = alice_api.post(url, {"ends_on": "2026-03-01"})

    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert Price.objects.get().ends_on == date(2026, 2, 1)
    assert AuditEntry.objects.get(action="providers.price_ended").details == {"ends_on": "2026-02-01"}


def test_a_withdrawn_price_makes_room_for_a_right_one(alice_api: Api) -> None:
    made = alice_api.post(URL, BODY).json()
    alice_api.post(f"{URL}/{made['id']}/end", {"ends_on": "2026-01-01"})

    assert alice_api.post(URL, {**BODY, "rates": {"input": "2"}}).status_code == 201
    (item,) = alice_api.get(f"{URL}?source=own").json()["items"]
    assert item["rates"] == {"input": "2"}


def test_who_may_read_and_who_may_change(
    project: Project, bob_api: Api, read_key: str, ingest_key: str, admin_key: str, other_key: str
) -> None:
    assert Api().get(URL).status_code == 401
    assert bob_api.get(URL).status_code == 200
    assert bob_api.post(URL, BODY).status_code == 403
    assert Api(ingest_key).get(URL).status_code == 403
    assert Api(read_key).get(URL).status_code == 200
    assert Api(read_key).post(URL, BODY).status_code == 403
    assert not Price.objects.exists()

    made = Api(admin_key).post(URL, BODY)
    assert made.status_code == 201
    end = f"{URL}/{made.json()['id']}/end"
    assert bob_api.post(end, {}).status_code == 403
    assert Api(read_key).post(end, {}).status_code == 403
    assert Api(other_key).post(end, {}).status_code == 404
    assert Api(admin_key).get(end).status_code == 405
    assert Price.objects.get().ends_on is None


def test_reads_a_page_in_few_queries(alice_api: Api, sync: Sync, django_assert_max_num_queries: Any) -> None:
    sync()
    alice_api.get(URL)

    with django_assert_max_num_queries(4):
        alice_api.get(URL)
