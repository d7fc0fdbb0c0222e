"""Changing prices: reading a price file, and a project's own prices. What has begun is never rewritten."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from apps.core.errors import Conflict, DomainError, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers import price_file
from apps.providers.models import Price, PriceBookVersion, PriceSync
from apps.providers.names import providers_of
from apps.providers.price_file import PricedName, PriceFile
from apps.providers.rates import RatesError, rates_from_json
from apps.providers.selectors import price_book
from apps.providers.types import SyncReport

FIRST_DAY = date(2020, 1, 1)
"""From when the prices of the very first file hold, as older ones are not known. Later changes hold from
their day."""

BATCH = 1000


class PriceFileRefused(DomainError):
    """The file cannot be a price list, or is far too short to be a whole one."""

    code, http_status = "price_file_refused", 422


class PriceExists(Conflict):
    """There is a price of one's own for this model from the same day."""

    code = "price_exists"
    message = "There already is a price for {model} from {starts_on}. End or withdraw it first, or choose another day."


# --- The price file
# ------------------------------------------------------------------------------------------------


def sync_prices(*, content: bytes, source: str, version: str, now: datetime) -> SyncReport:
    """Take the prices of a price file: a new dated row for each model whose prices are new or other than the
    last.

    Changes hold from the day of `now` (UTC), the very first file from FIRST_DAY. A model that is no longer
    listed keeps its last price. Doing it again changes nothing. Raises PriceFileRefused and changes nothing
    when the file is not JSON, or has fewer than half of the models that are known.
    """
    try:
        file = price_file.parse(content)
    except price_file.PriceFileError as error:
        raise PriceFileRefused(str(error)) from error
    with transaction.atomic():
        _take_turn()
        known = _latest_listed()
        if len(file.entries) * 2 < len(known) or not file.entries:
            raise PriceFileRefused(
                f"The price file has {len(file.entries)} models where {len(known)} are known: it was cut, or is another"
                " file. Nothing was changed.",
                models=len(file.entries),
                known=len(known),
            )
        added, changed = _store_entries(file, known, now)
        is_new = _note_sync(file, source, version, now, added, changed)
        if added or changed:
            _mark_changed()
    return SyncReport(
        models=len(file.entries),
        added=added,
        changed=changed,
        unpriced=sum(1 for entry in file.entries if not entry.rates),
        not_by_token=file.not_by_token,
        skipped=file.bad,
        is_new_content=is_new,
    )


def _latest_listed() -> dict[tuple[str, str], Price]:
    """The newest row of each model of the price file, by provider and lower-case name."""
    rows = Price.objects.filter(project=None).order_by("starts_on", "id")
    return {(row.provider, row.model.lower()): row for row in rows}


def _store_entries(file: PriceFile, known: dict[tuple[str, str], Price], now: datetime) -> tuple[int, int]:
    """Add rows for what is new or changed; the numbers of both."""
    today = now.astimezone(UTC).date()
    first_day = today if known else FIRST_DAY
    rows: list[Price] = []
    not_begun: list[Price] = []
    added = 0
    for entry in file.entries:
        last = known.get((entry.provider, entry.model.lower()))
        if last is None:
            added += 1
            rows.append(_row(entry, first_day, now))
        elif last.rates == entry.rates:
            continue
        elif last.starts_on > today:
            last.rates, last.mode = entry.rates, entry.mode
            not_begun.append(last)
        else:
            # A second change on one day waits for the next, since costs were worked out with the first.
            rows.append(_row(entry, max(today, last.starts_on + timedelta(days=1)), now))
    Price.objects.bulk_create(rows, batch_size=BATCH)
    Price.objects.bulk_update(not_begun, ["rates", "mode"], batch_size=BATCH)
    return added, len(rows) - added + len(not_begun)


def _row(entry: PricedName, starts_on: date, now: datetime) -> Price:
    return Price(
        source=Price.Source.LITELLM,
        provider=entry.provider,
        model=entry.model,
        mode=entry.mode,
        starts_on=starts_on,
        rates=entry.rates,
        created_at=now,
    )


def _note_sync(file: PriceFile, source: str, version: str, now: datetime, added: int, changed: int) -> bool:
    """Remember the file; True when its content is not that of the last one."""
    last = PriceSync.objects.order_by("-id").first()
    if last is not None and last.sha256 == file.sha256:
        last.checked_at = now
        last.save(update_fields=["checked_at"])
        return False
    PriceSync.objects.create(
        synced_at=now,
        checked_at=now,
        source=source,
        version=version,
        sha256=file.sha256,
        models_count=len(file.entries),
        added_count=added,
        changed_count=changed,
        skipped_count=len(file.bad),
    )
    return True


# --- Prices of one's own
# ---------------------------------------------------------------------------------------------


@transaction.atomic
def add_own_price(
    *,
    project: Project,
    provider: str,
    model: str,
    rates: Mapping[str, Any],
    starts_on: date,
    ends_on: date | None = None,
    actor: Actor,
    now: datetime,
) -> Price:
    """Set the project's own price of a model, from a day (UTC) on; costs that were worked out before keep.

    An empty provider holds for every provider. Raises Invalid with the field, or PriceExists.
    """
    row = Price(
        project=project,
        source=Price.Source.OWN,
        provider=_provider(provider),
        model=_model(model),
        starts_on=starts_on,
        ends_on=ends_on,
        rates=_checked(rates),
        created_at=now,
    )
    if ends_on is not None and ends_on <= starts_on:
        raise Invalid(ends_on=["The end must be after the start."])
    _take_turn()
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise PriceExists(model=row.model, starts_on=starts_on.isoformat()) from error
    audit.record(
        actor=actor,
        action="providers.price_added",
        project=project,
        target=row,
        at=now,
        details={"starts_on": starts_on.isoformat(), "rates": _as_line(row.rates)},
    )
    _mark_changed()
    return row


@transaction.atomic
def end_own_price(*, price: Price, ends_on: date, actor: Actor, now: datetime) -> Price:
    """Let an own price hold until the day before `ends_on`; the start day itself withdraws it.

    Costs that were worked out with it keep. Raises Invalid for a day before the start, Conflict when already
    ended.
    """
    assert price.project is not None
    if ends_on < price.starts_on:
        raise Invalid(ends_on=[f"This price starts on {price.starts_on}; it cannot end before."])
    _take_turn()
    if not Price.objects.filter(pk=price.pk, ends_on=None).update(ends_on=ends_on):
        raise Conflict("This price was ended already.")
    price.ends_on = ends_on
    audit.record(
        actor=actor,
        action="providers.price_ended",
        project=price.project,
        target=price,
        at=now,
        details={"ends_on": ends_on.isoformat()},
    )
    _mark_changed()
    return price


def _provider(spelling: str) -> str:
    """The provider as prices name it; empty for all."""
    if not spelling.strip():
        return ""
    providers = providers_of(spelling)
    if len(providers) != 1:
        said = f"say which: {' or '.join(providers)}" if providers else "leave it empty to mean every provider"
        raise Invalid(provider=[f"{spelling.strip()} is not one provider; {said}."])
    return providers[0]


def _model(name: str) -> str:
    name = name.strip()
    if not name or len(name) > price_file.MAX_NAME_LENGTH or not name.isprintable():
        raise Invalid(model=[f"A model's name has 1 to {price_file.MAX_NAME_LENGTH} printable characters."])
    return name


def _checked(rates: Mapping[str, Any]) -> dict[str, Any]:
    try:
        prepared = rates_from_json(rates)
    except RatesError as error:
        raise Invalid(rates=[f"{error}."]) from error
    if not prepared.plans:
        raise Invalid(rates=["Give a price for input tokens; 0 means free."])
    return dict(rates)


def _as_line(rates: Mapping[str, Any]) -> str:
    """A price list in a line for the audit trail."""
    return ", ".join(f"{name}={value}" for name, value in sorted(rates.items()) if isinstance(value, str))


# --- The mark that caches look at
# ----------------------------------------------------------------------------------


def _take_turn() -> None:
    """Hold the one row that writers of prices take turns on, until the transaction ends."""
    PriceBookVersion.objects.bulk_create([PriceBookVersion()], ignore_conflicts=True)
    PriceBookVersion.objects.select_for_update().get(pk=PriceBookVersion.ONLY)


def _mark_changed() -> None:
    """Tell every process's price book, within seconds, and this one's at once."""
    PriceBookVersion.objects.filter(pk=PriceBookVersion.ONLY).update(token=uuid.uuid4())
    price_book.forget()
    transaction.on_commit(price_book.forget)
