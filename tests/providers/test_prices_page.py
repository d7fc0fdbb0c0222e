"""Settings, Prices: what people see and may change."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.core import clock
from apps.projects.models import AuditEntry, Project
from apps.providers.models import Price
from apps.providers.templatetags.prices import price
from tests.conftest import Api, page_client
from tests.providers.conftest import Sync, chat, price_file

FORM = {"model": "house-model", "provider": "", "starts_on": "2026-01-01", "input": "1.5", "output": "6"}


@pytest.fixture
def url(project: Project) -> str:
    """The page of Alice's project."""
    return f"/p/{project.slug}/settings/prices"


def own_price(api: Api, **changes: Any) -> str:
    """The id of a new own price."""
    body = {"model": "house-model", "rates": {"input": "1.5"}, "starts_on": "2026-01-01", **changes}
    answer = api.post("/api/v1/prices", body)
    assert answer.status_code == 201
    return str(answer.json()["id"])


def test_shows_the_price_book_and_finds_a_model(alice_client: Client, url: str, sync: Sync) -> None:
    sync()

    page = alice_client.get(url, {"q": "AZURE"}).content.decode()

    assert "azure/gpt-4o" in page
    assert "$3.00" in page
    assert "gemini-pro" not in page
    assert "7 models from a file 1" in page


def test_answers_a_search_with_the_list_alone(alice_client: Client, url: str, sync: Sync) -> None:
    sync()

    answer = alice_client.get(url, {"q": "gpt-9"}, headers={"HX-Request": "true"})

    assert answer.content.decode().lstrip().startswith('<div id="price_list">')
    assert "No model fits" in answer.content.decode()
    assert "HX-Request" in answer["Vary"]


def test_goes_through_the_whole_book(alice_client: Client, url: str, sync: Sync) -> None:
    sync(price_file({f"model-{number:02}": chat(1e-06) for number in range(30)}))
    first = alice_client.get(url, {"q": "model-"})

    following = alice_client.get(url, {"q": "model-", "cursor": first.context["page"].next})

    names = [line.model for answer in (first, following) for line in answer.context["page"].items]
    assert names == [f"model-{number:02}" for number in range(30)]
    assert following.context["page"].next is None
    assert len(alice_client.get(url, {"cursor": 999_999}).context["page"].items) == 25


def test_says_that_no_price_file_was_read(alice_client: Client, url: str) -> None:
    assert "No price file was read yet" in alice_client.get(url).content.decode()


def test_says_that_the_price_file_is_old(alice_client: Client, url: str, sync: Sync) -> None:
    sync(now=clock.now() - timedelta(days=50))

    assert "has been the same for 50 days" in alice_client.get(url).content.decode()


def test_a_listed_model_without_a_price_is_not_shown_as_free(alice_client: Client, url: str, sync: Sync) -> None:
    sync()

    page = alice_client.get(url, {"q": "copilot"}).content.decode()

    assert "listed without a price by tokens" in page
    assert "$0" not in page


def test_sets_a_price(alice_client: Client, url: str, project: Project) -> None:
    answer = alice_client.post(url, {**FORM, "cached_read": "0.15", "batch_input": "0.75"})

    assert (answer.status_code, answer["Location"]) == (302, url)
    row = Price.objects.get()
    assert (row.project, row.model, row.starts_on) == (project, "house-model", date(2026, 1, 1))
    assert row.rates == {
        "input": "1.5",
        "output": "6",
        "cached_read": "0.15",
        "plans": {"batch": {"input": "0.75"}},
    }
    assert AuditEntry.objects.filter(action="providers.price_added", actor_name="alice@example.com").count() == 1
    page = alice_client.get(url).content.decode()
    assert "has a price of your own" in page
    assert "In force" in page


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": ""}, "model"),
        ({"provider": "google"}, "provider"),
        ({"starts_on": "soon"}, "starts_on"),
        ({"input": ""}, "input"),
        ({"input": "-1"}, "input"),
        ({"input": "NaN"}, "input"),
        ({"input": "0." + "1" * 19}, "input"),
        ({"output": "10000000"}, "output"),
    ],
)
def test_refuses_a_price_beside_its_field_and_keeps_what_was_typed(
    alice_client: Client, url: str, changes: dict[str, str], field: str
) -> None:
    answer = alice_client.post(url, {**FORM, **changes})

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert 'value="6"' in answer.content.decode() or field == "output"
    assert not Price.objects.exists()


def test_refuses_a_second_price_from_the_same_day(alice_client: Client, alice_api: Api, url: str) -> None:
    own_price(alice_api)

    answer = alice_client.post(url, FORM)

    assert answer.status_code == 422
    assert "There already is a price for house-model" in answer.content.decode()


def test_fills_the_form_for_a_model_that_was_chosen(alice_client: Client, url: str) -> None:
    page = alice_client.get(url, {"model": "azure/gpt-4o", "provider": "azure"}).content.decode()

    assert 'value="azure/gpt-4o"' in page
    assert 'value="azure"' in page


def test_ends_a_price(alice_client: Client, alice_api: Api, url: str) -> None:
    end = f"{url}/{own_price(alice_api)}/end"

    assert "End the price of house-model?" in alice_client.get(end).content.decode()
    refused = alice_client.post(end, {"ends_on": "2025-12-31"})
    assert (refused.status_code, list(refused.context["form"].errors)) == (422, ["ends_on"])
    assert alice_client.post(end, {"ends_on": "2026-02-01"}).status_code == 302

    assert Price.objects.get().ends_on == date(2026, 2, 1)
    page = alice_client.get(url).content.decode()
    assert "Ended" in page
    assert end not in page
    again = alice_client.post(end, {"ends_on": "2026-03-01"})
    assert (again.status_code, Price.objects.get().ends_on) == (422, date(2026, 2, 1))


def test_who_may_see_and_who_may_change(
    alice_api: Api, bob_client: Client, charlie_client: Client, url: str, sync: Sync
) -> None:
    sync()
    end = f"{url}/{own_price(alice_api)}/end"
    today = clock.now().date().isoformat()

    assert page_client().get(url).status_code == 302
    assert charlie_client.get(url).status_code == 404
    assert charlie_client.post(end, {"ends_on": today}).status_code == 404
    seen = bob_client.get(url)
    assert seen.status_code == 200
    assert "Set a price" not in seen.content.decode()
    assert end not in seen.content.decode()
    assert bob_client.post(url, FORM).status_code == 403
    assert bob_client.get(end).status_code == 403
    assert Price.objects.filter(project__isnull=False, ends_on=None).count() == 1


def test_never_reaches_the_price_of_another_project(alice_client: Client, charlie_api: Api, url: str) -> None:
    theirs = own_price(charlie_api, model="their-model")

    assert "their-model" not in alice_client.get(url).content.decode()
    assert alice_client.get(f"{url}/{theirs}/end").status_code == 404
    assert alice_client.post(f"{url}/{theirs}/end", {"ends_on": "2026-02-01"}).status_code == 404
    assert Price.objects.get().ends_on is None


def test_needs_few_queries(
    alice_client: Client, alice_api: Api, url: str, sync: Sync, django_assert_max_num_queries: Any
) -> None:
    sync()
    for number in range(5):
        own_price(alice_api, model=f"model-{number}")
    alice_client.get(url)

    with django_assert_max_num_queries(12):
        alice_client.get(url)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("0", "$0.00"),
        ("2.5", "$2.50"),
        ("0.0375", "$0.0375"),
        ("0.050000000000000004", "$0.05"),
        ("1234.5", "$1,234.50"),
        ("0.000000001", "<\u00a0$0.00000001"),
    ],
)
def test_shows_a_price_with_its_digits(value: str | None, text: str) -> None:
    assert price(None if value is None else Decimal(value)) == text
