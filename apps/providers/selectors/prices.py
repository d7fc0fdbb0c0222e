"""Reading prices: the price book for the hot path, and lists for people."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import Lower, RowNumber

from apps.core.errors import Invalid, NotFound
from apps.projects.models import Project
from apps.providers.models import Price, PriceBookVersion, PriceSync
from apps.providers.names import Candidate, ways_to_read
from apps.providers.presets import TEST, is_test_model
from apps.providers.rates import STANDARD, PriceRates, rates_from_json
from apps.providers.types import NO_ROW, FileStatus, PricedModel, PriceLine, PricePage, PriceState, StalePrices

CHECK_SECONDS = 2.0
"""How long a process may work with prices that somebody else has just changed."""

MAX_REMEMBERED = 50_000

FREE = PricedModel(
    price_id=NO_ROW,
    provider=TEST,
    model="",
    source="test",
    starts_on=date.min,
    rates=rates_from_json({"input": "0", "output": "0"}),
)
"""What the shipped test model costs: nothing, really."""


class _Row(NamedTuple):
    """A price row as the book keeps it."""

    id: int
    project_id: int | None
    provider: str
    model: str
    starts_on: date
    ends_on: date | None
    rates: dict[str, Any]


class _Period(NamedTuple):
    """A price in force from a moment until another (None: for good)."""

    start: datetime
    end: datetime | None
    priced: PricedModel


class _Reading(NamedTuple):
    """What one way to read a call's names found, own prices first; and what the other ways found."""

    periods: tuple[_Period, ...]
    others: tuple[tuple[_Period, ...], ...]

    def at(self, moment: datetime) -> PricedModel | None:
        """The price in force. Several ways must agree on the standard prices, or nothing is known."""
        first = _in_force(self.periods, moment)
        for other in self.others:
            found = _in_force(other, moment)
            if first is not None and found is not None and not _agree(first.rates, found.rates):
                return None
            first = first or found
        return first


@dataclass(slots=True)
class _Snapshot:
    """All prices at one version. `own` and `listed` are by lower-case name, oldest row first."""

    version: uuid.UUID | None
    own: dict[int, dict[tuple[str, str], list[_Row]]] = field(default_factory=dict)
    listed: dict[str, dict[str, list[_Row]]] = field(default_factory=dict)
    found: dict[tuple[int, str | None, str], _Reading] = field(default_factory=dict)


class PriceBook:
    """Prices by project, provider, model and moment, kept in memory; safe to share between threads.

    Every two seconds at most one cheap query asks whether any price changed; a warm look-up asks the database
    nothing else. Not for use on an event loop: give it a thread.
    """

    def __init__(self) -> None:
        self._snapshot: _Snapshot | None = None
        self._check_at = 0.0
        self._lock = threading.Lock()

    def price_for(self, project_id: int, provider: str | None, model: str, at: datetime) -> PricedModel | None:
        """The price list in force for a call that began at `at`, or None when the model is not priced.

        The project's own prices go before the price file's. `apps.providers.names` says how spellings are
        understood. A model that is listed without a price counts as not priced. The shipped test model costs 0 without
        a row: its price_id is 0, which no row has. A price of one's own goes before that too.
        """
        snapshot = self._current()
        key = (project_id, provider, model)
        reading = snapshot.found.get(key)
        if reading is None:
            reading = _read_names(snapshot, project_id, provider, model)
            if len(snapshot.found) >= MAX_REMEMBERED:
                snapshot.found.clear()
            snapshot.found[key] = reading
        priced = reading.at(at)
        if priced is None or not priced.rates.plans:
            return FREE if is_test_model(provider, model) else None
        if priced.rates.off_peak is not None:
            return replace(priced, rates=priced.rates.at(at))
        return priced

    def forget(self) -> None:
        """Ask the database anew at the next look-up."""
        self._check_at = 0.0
        self._snapshot = None

    def _current(self) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is not None and time.monotonic() < self._check_at:
            return snapshot
        # While one thread asks, the others go on with what they have.
        if not self._lock.acquire(blocking=snapshot is None):
            assert snapshot is not None
            return snapshot
        try:
            snapshot = self._snapshot
            if snapshot is None or time.monotonic() >= self._check_at:
                snapshot = _refreshed(snapshot)
                self._check_at = time.monotonic() + CHECK_SECONDS
                self._snapshot = snapshot
            return snapshot
        finally:
            self._lock.release()


price_book = PriceBook()
"""The one of this process."""


def _refreshed(old: _Snapshot | None) -> _Snapshot:
    # The version is read before the rows: a change between the two is found at the next check.
    version = PriceBookVersion.objects.values_list("token", flat=True).first()
    if old is not None and old.version == version:
        return old
    snapshot = _Snapshot(version)
    rows = Price.objects.order_by("starts_on", "id").values_list(*_Row._fields)
    for row in map(_Row._make, rows.exclude(ends_on=F("starts_on")).iterator(chunk_size=5000)):
        name = row.model.lower()
        if row.project_id is None:
            snapshot.listed.setdefault(name, {}).setdefault(row.provider, []).append(row)
        else:
            snapshot.own.setdefault(row.project_id, {}).setdefault((row.provider, name), []).append(row)
    return snapshot


def _read_names(snapshot: _Snapshot, project_id: int, provider: str | None, model: str) -> _Reading:
    """Look every reading of the names up."""
    own = snapshot.own.get(project_id, {})
    found = []
    for candidates in ways_to_read(provider, model):
        periods = _periods(_own_rows(own, candidates)) + _periods(_listed_rows(snapshot.listed, candidates))
        if periods:
            found.append(periods)
    return _Reading(found[0], tuple(found[1:])) if found else _Reading((), ())


def _own_rows(own: dict[tuple[str, str], list[_Row]], candidates: list[Candidate]) -> list[_Row]:
    """The project's rows for the first name it has any for; those of the provider go before those of any
    provider."""
    for candidate in candidates if own else ():
        for provider in (candidate.provider, ""):
            if provider is not None and (provider, candidate.name) in own:
                return own[provider, candidate.name]
    return []


def _listed_rows(listed: dict[str, dict[str, list[_Row]]], candidates: list[Candidate]) -> list[_Row]:
    """The price file's rows for the first name that is listed."""
    for candidate in candidates:
        by_provider = listed.get(candidate.name)
        if by_provider is None:
            continue
        if candidate.provider is None:
            return sorted((row for rows in by_provider.values() for row in rows), key=lambda row: row.starts_on)
        if candidate.provider in by_provider:
            return by_provider[candidate.provider]
    return []


def _periods(rows: list[_Row]) -> tuple[_Period, ...]:
    """When each row is in force: from its day on, until it is ended or the next one begins."""
    periods = []
    for row, after in zip(rows, [*rows[1:], None], strict=False):
        days = [day for day in (row.ends_on, after and after.starts_on) if day is not None]
        priced = PricedModel(
            price_id=row.id,
            provider=row.provider,
            model=row.model,
            source=Price.Source.LITELLM if row.project_id is None else Price.Source.OWN,
            starts_on=row.starts_on,
            rates=rates_from_json(row.rates),
        )
        periods.append(_Period(_midnight(row.starts_on), _midnight(min(days)) if days else None, priced))
    return tuple(periods)


def _in_force(periods: Iterable[_Period], moment: datetime) -> PricedModel | None:
    for period in periods:
        if period.start <= moment and (period.end is None or moment < period.end):
            return period.priced
    return None


def _agree(one: PriceRates, other: PriceRates) -> bool:
    """True when both charge the same for input, cached input and output, whatever the length."""
    return _main_prices(one) == _main_prices(other)


def _main_prices(rates: PriceRates) -> list[tuple[object, ...]]:
    return [
        (band.above, band.prices and (band.prices.input, band.prices.cached_read, band.prices.output))
        for band in rates.plans.get(STANDARD, ())
    ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time_of_day.min, tzinfo=UTC)


# --- For people
# ----------------------------------------------------------------------------------------------------

NO_PROJECT = 0
"""For look-ups in the price file alone."""

STALE_AFTER_DAYS = 45


def get_price(price_id: int) -> Price:
    """The row that a cost was worked out with."""
    return Price.objects.get(pk=price_id)


def stale_prices(*, now: datetime) -> StalePrices | None:
    """How old the price file is, when that is more than STALE_AFTER_DAYS or no file was ever read; else None.

    Its age counts from when its content was first read, not from the last time it was found unchanged.
    """
    last = PriceSync.objects.order_by("-id").first()
    if last is None:
        return StalePrices(since=None, days=None)
    days = (now - last.synced_at).days
    return StalePrices(since=last.synced_at, days=days) if days > STALE_AFTER_DAYS else None


def file_status() -> FileStatus | None:
    """The price file in use; None before the first one was read."""
    last = PriceSync.objects.order_by("-id").first()
    if last is None:
        return None
    return FileStatus(last.source, last.version, last.synced_at, last.checked_at, last.models_count)


def list_prices(
    project: Project,
    *,
    on: date,
    model: str = "",
    provider: str = "",
    source: str = "",
    after: int | None = None,
    limit: int = 50,
) -> PricePage:
    """The prices in force on a day that the project may use, its own and the price file's, in the order of
    their names.

    `model` is a part of the name, `provider` its beginning, `source` one of Price.Source; empty means all.
    `after` is a cursor. Raises Invalid for a cursor that no list gave.
    """
    wanted = Q(model__icontains=model, provider__startswith=provider.lower())
    rows = _in_force_on(project, on, wanted & Q(source=source) if source else wanted)
    if after is not None:
        last = Price.objects.filter(Q(project=project) | Q(project=None), pk=after).first()
        if last is None:
            raise Invalid(cursor=["This cursor is not from a list of prices."])
        rows = rows.filter(_beyond(last))
    found = list(rows.order_by("name", "provider", "id")[: limit + 1])
    lines = [_line(row, on) for row in found[:limit]]
    return PricePage(lines, found[limit - 1].pk if len(found) > limit else None)


def _in_force_on(project: Project, on: date, wanted: Q) -> QuerySet[Price]:
    """The row of each wanted name that holds on a day, annotated with `name` in lower case."""
    named = Price.objects.annotate(name=Lower("model"))
    visible = named.filter(wanted, Q(project=project) | Q(project=None))
    begun = visible.filter(starts_on__lte=on).exclude(ends_on=F("starts_on"))
    newest = begun.annotate(
        age=Window(
            RowNumber(),
            partition_by=[F("project_id"), F("provider"), F("name")],
            order_by=F("starts_on").desc(),
        )
    ).filter(age=1)
    # Apart from the search for the newest row: one that was ended must not bring back the row it replaced.
    return named.filter(Q(ends_on=None) | Q(ends_on__gt=on), pk__in=newest.values("pk"))


def _beyond(last: Price) -> Q:
    """Rows that come after this one in the order of names."""
    name = last.model.lower()
    return (
        Q(name__gt=name)
        | Q(name=name, provider__gt=last.provider)
        | Q(name=name, provider=last.provider, pk__gt=last.pk)
    )


def list_own_prices(project: Project, *, on: date) -> list[PriceLine]:
    """Every price the project ever set, except withdrawn ones: by name, newest first."""
    rows = Price.objects.filter(project=project).exclude(ends_on=F("starts_on"))
    return [_line(row, on) for row in rows.order_by(Lower("model"), "provider", "-starts_on")]


def get_own_price(project: Project, price_uuid: uuid.UUID) -> Price:
    """A price the project set; NotFound for any other."""
    row = Price.objects.filter(project=project, uuid=price_uuid).first()
    if row is None:
        raise NotFound
    return row


def _line(row: Price, on: date) -> PriceLine:
    def price(name: str) -> Decimal | None:
        value = row.rates.get(name)
        return None if value is None else Decimal(value)

    if row.ends_on is not None and row.ends_on <= on:
        state = PriceState.ENDED
    else:
        state = PriceState.IN_FORCE if row.starts_on <= on else PriceState.COMING
    plans = tuple(sorted(row.rates.get("plans", {})))
    others = tuple(name for name in ("tiers", "per_request", "off_peak") if name in row.rates)
    return PriceLine(
        uuid=row.uuid,
        source=row.source,
        provider=row.provider,
        model=row.model,
        mode=row.mode,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        state=state,
        input=price("input"),
        output=price("output"),
        cached_read=price("cached_read"),
        cache_write=price("cache_write"),
        reasoning=price("reasoning"),
        extras=others + plans,
        rates=row.rates,
    )
