"""Reading a price file into dated rows: only what changed, nothing rewritten, nothing lost."""

from __future__ import annotations

import json
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.providers import price_file as price_files
from apps.providers import selectors
from apps.providers.models import Price, PriceBookVersion, PriceSync
from apps.providers.services import FIRST_DAY, PriceFileRefused
from apps.providers.types import StalePrices
from tests.factories import NOW
from tests.providers.conftest import MODELS, Sync, chat, price_file

DAY = timedelta(days=1)


def rows(model: str) -> list[tuple[date, Any]]:
    """The dated input prices of a model, oldest first."""
    return [(row.starts_on, row.rates.get("input")) for row in Price.objects.filter(model=model).order_by("starts_on")]


def test_the_first_file_holds_from_far_back(sync: Sync) -> None:
    report = sync()

    assert (report.models, report.added, report.changed, report.unpriced) == (len(MODELS), len(MODELS), 0, 1)
    assert rows("gpt-4o") == [(FIRST_DAY, "2.5")]
    assert rows("github_copilot/gpt-4o") == [(FIRST_DAY, None)]
    assert set(Price.objects.values_list("source", "ends_on")) == {("litellm", None)}


def test_reading_it_again_changes_nothing(sync: Sync) -> None:
    sync()
    token = PriceBookVersion.objects.get().token

    report = sync(now=NOW + DAY)

    assert (report.added, report.changed, report.is_new_content) == (0, 0, False)
    assert Price.objects.count() == len(MODELS)
    assert PriceBookVersion.objects.get().token == token
    (seen,) = PriceSync.objects.all()
    assert (seen.synced_at, seen.checked_at) == (NOW, NOW + DAY)


def test_a_changed_price_begins_on_the_day_of_its_reading(sync: Sync) -> None:
    sync()
    report = sync(price_file({"gpt-4o": chat(3e-06), "gpt-9": chat(1e-06)}), now=NOW + 10 * DAY)

    later = (NOW + 10 * DAY).date()
    assert (report.added, report.changed) == (1, 1)
    assert rows("gpt-4o") == [(FIRST_DAY, "2.5"), (later, "3")]
    assert rows("gpt-9") == [(later, "1")]
    assert Price.objects.count() == len(MODELS) + 2


def test_a_second_change_on_one_day_begins_on_the_next_and_a_third_replaces_it(sync: Sync) -> None:
    sync()
    for price in (3e-06, 4e-06, 5e-06):
        sync(price_file({"gpt-4o": chat(price)}))

    assert rows("gpt-4o") == [(FIRST_DAY, "2.5"), (NOW.date(), "3"), (NOW.date() + DAY, "5")]


def test_a_model_that_is_no_longer_listed_keeps_its_price(sync: Sync) -> None:
    sync()
    sync(price_file({"gpt-4o": None}), now=NOW + DAY)

    assert rows("gpt-4o") == [(FIRST_DAY, "2.5")]


def test_a_price_that_is_taken_back_is_unknown_from_then_on(sync: Sync) -> None:
    sync()
    sync(price_file({"gpt-4o": {"litellm_provider": "openai", "mode": "chat"}}), now=NOW + DAY)

    assert rows("gpt-4o") == [(FIRST_DAY, "2.5"), (NOW.date() + DAY, None)]


@pytest.mark.parametrize("content", [b"{}", b"not json", b"", price_file(dict.fromkeys(list(MODELS)[:4]))])
def test_refuses_a_file_that_was_cut(sync: Sync, content: bytes) -> None:
    sync()

    with pytest.raises(PriceFileRefused):
        sync(content or b" ", now=NOW + DAY)

    assert Price.objects.count() == len(MODELS)
    assert PriceSync.objects.get().checked_at == NOW


def test_a_file_is_stale_when_its_content_has_been_the_same_for_long(sync: Sync) -> None:
    assert selectors.stale_prices(now=NOW) == StalePrices(since=None, days=None)
    sync()
    sync(now=NOW + 45 * DAY)

    assert selectors.stale_prices(now=NOW + 45 * DAY) is None
    assert selectors.stale_prices(now=NOW + 46 * DAY) == StalePrices(since=NOW, days=46)

    sync(price_file({"gpt-9": chat(1e-06)}), now=NOW + 46 * DAY)
    assert selectors.stale_prices(now=NOW + 46 * DAY) is None


def run(*arguments: str) -> tuple[str, str]:
    """What the command writes."""
    out, err = StringIO(), StringIO()
    call_command("prices", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_reads_the_installed_file_whole(db: None) -> None:
    out, err = run("sync")

    listed = json.loads(price_files.read(price_files.installed_file().path))
    text = [name for name, entry in listed.items() if entry.get("mode") in price_files.TEXT_MODES]
    assert f"{len(text):,} models: {len(text):,} new, 0 changed" in out
    assert err == ""
    assert Price.objects.count() == len(text)
    assert " 0 new, 0 changed" in run("sync")[0]


def test_the_command_lists_what_it_leaves_out(db: None, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(price_file({"bad": chat(-1)}))

    out, err = run("sync", "--file", str(path))

    assert "1 entries were left out" in out
    assert "left out: bad: input_cost_per_token" in err
    assert not Price.objects.filter(model="bad").exists()


def test_the_command_refuses_what_it_cannot_read(db: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        run("sync", "--file", str(tmp_path / "nowhere"))


def test_the_command_shows_a_price(sync: Sync) -> None:
    sync()

    out, _ = run("show", "GPT-4o", "--provider", "azure.ai.openai")

    assert out.startswith("azure/gpt-4o (azure), from 2020-01-01")
    assert '"input": "3"' in out
    with pytest.raises(CommandError, match="has no price"):
        run("show", "gpt-9")
