"""Looking prices up: by project, spelling and moment, quickly, and soon after a change."""

from __future__ import annotations

import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers import selectors, services
from apps.providers.models import Price
from apps.providers.pricing import Usage, cost_of
from apps.providers.selectors import PriceBook
from tests.factories import NOW
from tests.providers.conftest import Sync, chat, price_file

DAY = timedelta(days=1)
SYSTEM = Actor(kind="system", id=None, name="tests")


@pytest.fixture
def book() -> PriceBook:
    """A book of its own for each test."""
    return PriceBook()


def set_price(project: Project, model: str, price: str, starts_on: date, **more: Any) -> Price:
    """An own price."""
    return services.add_own_price(
        project=project,
        model=model,
        provider=more.pop("provider", ""),
        rates={"input": price},
        starts_on=starts_on,
        actor=SYSTEM,
        now=NOW,
        **more,
    )


def million(
    book: PriceBook, project: Project, model: str, at: datetime = NOW, provider: str | None = None
) -> str | None:
    """What a million input tokens cost, as text."""
    priced = book.price_for(project.pk, provider, model, at)
    if priced is None:
        return None
    cost = cost_of(Usage(1_000_000, 0), priced.rates)
    assert cost is not None
    return f"{cost.usd.normalize():f}"


def test_finds_the_price_in_force_at_the_moment(book: PriceBook, project: Project, sync: Sync) -> None:
    sync()
    sync(price_file({"gpt-4o": chat(3e-06)}), now=NOW + 10 * DAY)
    change = datetime(2026, 3, 14, tzinfo=UTC)

    assert million(book, project, "gpt-4o", NOW) == "2.5"
    assert million(book, project, "gpt-4o", change - timedelta(microseconds=1)) == "2.5"
    assert million(book, project, "gpt-4o", change) == "3"
    assert million(book, project, "gpt-4o", datetime(2019, 12, 31, tzinfo=UTC)) is None


def test_says_which_row_the_price_is(book: PriceBook, project: Project, sync: Sync) -> None:
    sync()

    priced = book.price_for(project.pk, "azure.ai.openai", "gpt-4o", NOW)

    assert priced is not None
    row = Price.objects.get(model="azure/gpt-4o")
    assert (priced.price_id, priced.provider, priced.model, priced.source) == (
        row.pk,
        "azure",
        "azure/gpt-4o",
        "litellm",
    )


@pytest.mark.parametrize(
    ("provider", "model"),
    [("openai", "gpt-5"), ("github_copilot", "gpt-4o"), (None, "github_copilot/gpt-4o"), ("x", "y")],
)
def test_what_is_not_priced_is_unknown(
    book: PriceBook, project: Project, sync: Sync, provider: str | None, model: str
) -> None:
    sync()

    assert book.price_for(project.pk, provider, model, NOW) is None


def test_a_word_for_two_providers_counts_only_where_they_agree(book: PriceBook, project: Project, sync: Sync) -> None:
    sync()

    assert million(book, project, "gemini-pro", provider="google") == "1"
    assert million(book, project, "gemini-ultra", provider="google") is None
    assert million(book, project, "gemini-ultra", provider="gemini") == "1"


def test_an_own_price_goes_before_the_file_while_it_holds(
    book: PriceBook, project: Project, other_project: Project, sync: Sync
) -> None:
    sync()
    set_price(project, "GPT-4o", "1", date(2026, 1, 10), ends_on=date(2026, 1, 20))
    set_price(project, "gpt-4o", "1.5", date(2026, 1, 15), ends_on=date(2026, 1, 25))

    def on(day: int) -> str | None:
        return million(book, project, "gpt-4o", datetime(2026, 1, day, tzinfo=UTC), "openai")

    assert [on(day) for day in (9, 10, 14, 15, 24, 25)] == ["2.5", "1", "1", "1.5", "1.5", "2.5"]
    assert million(book, other_project, "gpt-4o", datetime(2026, 1, 12, tzinfo=UTC)) == "2.5"


def test_an_own_price_may_be_for_one_provider(book: PriceBook, project: Project, sync: Sync) -> None:
    sync()
    set_price(project, "gpt-4o", "1", date(2026, 1, 1), provider="Azure OpenAI")
    set_price(project, "house-model", "7", date(2026, 1, 1))

    assert million(book, project, "gpt-4o", provider="azure.ai.openai") == "1"
    assert million(book, project, "gpt-4o", provider="openai") == "2.5"
    assert million(book, project, "gpt-4o") == "2.5"
    assert [million(book, project, "house-model", provider=one) for one in (None, "vllm", "openai")] == ["7", "7", "7"]


def test_own_prices_are_seen_without_any_price_file(book: PriceBook, project: Project) -> None:
    set_price(project, "house-model", "7", date(2026, 1, 1))

    assert million(book, project, "house-model") == "7"


def test_a_withdrawn_price_never_held(book: PriceBook, project: Project, sync: Sync) -> None:
    sync()
    price = set_price(project, "gpt-4o", "1", date(2026, 1, 1))
    services.end_own_price(price=price, ends_on=date(2026, 1, 1), actor=SYSTEM, now=NOW)

    assert million(book, project, "gpt-4o") == "2.5"


def test_off_peak_hours_are_looked_up_by_the_moment(book: PriceBook, project: Project, sync: Sync) -> None:
    off_peak = {"input_cost_per_token": 1e-06, "hours_utc": "16:00-20:00"}
    sync(price_file({"night": chat(2e-06, off_peak_pricing=off_peak)}))

    assert million(book, project, "night", NOW) == "2"
    assert million(book, project, "night", NOW.replace(hour=17)) == "1"


def test_a_warm_look_up_asks_the_database_nothing(book: PriceBook, project: Project, sync: Sync) -> None:
    sync()
    book.price_for(project.pk, "openai", "gpt-4o", NOW)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(100):
            book.price_for(project.pk, "openai", "gpt-4o", NOW)
            book.price_for(project.pk, "openai", "unknown", NOW)

    assert len(queries) == 0


def test_a_change_by_another_process_is_seen_after_the_next_check(
    book: PriceBook, project: Project, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    assert million(book, project, "gpt-4o") == "2.5"
    set_price(project, "gpt-4o", "1", date(2026, 1, 1))  # this book is not the one that is told

    assert million(book, project, "gpt-4o") == "2.5"
    monkeypatch.setattr(book, "_check_at", 0.0)
    assert million(book, project, "gpt-4o") == "1"
    assert selectors.CHECK_SECONDS <= 5


def test_an_unchanged_book_is_not_read_again(
    book: PriceBook, project: Project, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    million(book, project, "gpt-4o")
    monkeypatch.setattr(book, "_check_at", 0.0)

    with CaptureQueriesContext(connection) as queries:
        million(book, project, "gpt-4o")

    assert len(queries) == 1


def test_the_books_of_this_process_see_a_change_at_once(project: Project, sync: Sync) -> None:
    sync()
    assert million(selectors.price_book, project, "gpt-4o") == "2.5"
    set_price(project, "gpt-4o", "1", date(2026, 1, 1))

    assert million(selectors.price_book, project, "gpt-4o") == "1"


def test_many_names_do_not_fill_the_memory(
    book: PriceBook, project: Project, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    monkeypatch.setattr(selectors.prices, "MAX_REMEMBERED", 10)
    for number in range(50):
        assert book.price_for(project.pk, "openai", f"model-{number}", NOW) is None

    assert book._snapshot is not None
    assert len(book._snapshot.found) <= 10
    assert million(book, project, "gpt-4o") == "2.5"


@pytest.mark.django_db(transaction=True)
def test_threads_share_a_book(project: Project, sync: Sync) -> None:
    sync()
    book, answers, errors = PriceBook(), [], []

    def look_up() -> None:
        try:
            for _ in range(200):
                answers.append(million(book, project, "gpt-4o"))
                book._check_at = 0.0
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=look_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert set(answers) == {"2.5"}


def test_costs_that_were_worked_out_stay_as_they_are(book: PriceBook, project: Project, sync: Sync) -> None:
    """A later price for the same days changes what a new look-up says, not the row an old cost was worked out
    with."""
    sync()
    before = book.price_for(project.pk, "openai", "gpt-4o", NOW)
    assert before is not None

    sync(price_file({"gpt-4o": chat(9e-06)}), now=NOW + DAY)
    set_price(project, "gpt-4o", "1", date(2020, 1, 1))

    row = Price.objects.get(pk=before.price_id)
    assert (row.rates["input"], row.starts_on, row.ends_on) == ("2.5", services.FIRST_DAY, None)


def test_a_warm_look_up_takes_microseconds(book: PriceBook, project: Project, sync: Sync) -> None:
    sync()
    book.price_for(project.pk, "openai", "gpt-4o", NOW)

    best = min(_time_of(book, project) for _ in range(5))

    assert best < 20e-6  # measured: one microsecond


def _time_of(book: PriceBook, project: Project) -> float:
    started = time.perf_counter()
    for _ in range(2000):
        book.price_for(project.pk, "openai", "gpt-4o", NOW)
    return (time.perf_counter() - started) / 2000
