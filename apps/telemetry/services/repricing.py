"""Working costs of past calls out anew, because their model had no price when they arrived.

A cost is frozen when its call is stored; this is the one way to change it, asked for by a person, for one model, seen
before in a preview, and written down for good in a row with the sums before and after. The row is also the work:
whoever holds its lease goes through the calls in order of their start, some in one transaction that writes the costs,
marks the hours whose records are to be written anew, and moves the row's cursor. So a job that dies goes on where it
was, and nothing is counted twice. Doing it again changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Q

from apps.core import clock, jobs
from apps.core.errors import DomainError
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.providers import pricing
from apps.providers import services as providers
from apps.providers.models import Reprice
from apps.providers.rates import PriceRates, RatesError, rates_from_json
from apps.providers.selectors import price_book
from apps.telemetry.repricing import (
    COLUMNS,
    MOST_PREVIEWED,
    Call,
    Outcome,
    Preview,
    Sums,
    Wish,
    sums_by_day,
    sums_of,
)
from apps.telemetry.selectors.repricing import Place, call_of, find_calls, spans_since
from apps.telemetry.services.fresh import append_fresh
from apps.telemetry.services.literals import bytes_array, times_array
from apps.telemetry.services.pricing import freeze_cost, usage_of

JOB = "telemetry.reprice"
CALLS_PER_PORTION = 1_000
MAX_SECONDS = 120.0
LEASE = timedelta(minutes=5)
TRIES = 3

# In the order in which every writer of spans locks them.
LOCK = f"""
SELECT {", ".join(f"held.{name}" for name in COLUMNS)}
FROM telemetry_span AS held
JOIN unnest(%s::text::bytea[], %s::text::bytea[], %s::text::timestamptz[]) AS wanted (t, s, at)
  ON held.trace_id = wanted.t AND held.span_id = wanted.s AND held.started_at = wanted.at
WHERE held.project_id = %s AND held.started_at >= %s AND held.started_at <= %s
ORDER BY held.project_id, held.trace_id, held.span_id, held.started_at FOR UPDATE OF held
"""  # noqa: S608 -- our own columns
WRITE = """
UPDATE telemetry_span AS held SET cost_usd = wanted.cost, price_id = wanted.price
FROM unnest(%s::text::bytea[], %s::text::bytea[], %s::text::timestamptz[], %s::numeric[], %s::bigint[])
  AS wanted (t, s, at, cost, price)
WHERE held.project_id = %s AND held.trace_id = wanted.t AND held.span_id = wanted.s AND held.started_at = wanted.at
  AND held.started_at >= %s AND held.started_at <= %s
"""
DIRTY = """
INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at)
SELECT %s, hour, %s FROM unnest(%s::text::timestamptz[]) AS hour
"""


class NothingToReprice(DomainError):
    """No cost would change."""

    code, http_status = "nothing_to_reprice", 422
    message = "No cost of {model} would change: set a price that holds when its calls began, or choose an earlier day."


class BadRates(DomainError):
    """The price list breaks a rule."""

    code, http_status = "invalid", 422


# --- Before and after ----------------------------------------------------------------------------------------


def preview(*, project: Project, wish: Wish, zone: ZoneInfo, now: datetime, most: int = MOST_PREVIEWED) -> Preview:
    """What working the wished costs out anew would change, worked out call by call and not stored.

    Raises BadRates for a price list that is none.
    """
    rates = _checked(wish)
    start = _start(project, wish)
    calls = find_calls(
        project.pk,
        provider=wish.provider,
        model=wish.model,
        after=Place(start),
        end=now,
        includes_priced=wish.includes_priced,
        limit=most + 1,
    )
    price_book.forget()
    outcomes = [_outcome(call, rates) for call in calls[:most]]
    return Preview(wish, start, now, sums_of(outcomes), sums_by_day(outcomes, zone), len(calls) <= most)


def _checked(wish: Wish) -> PriceRates | None:
    try:
        return None if wish.rates is None else rates_from_json(wish.rates)
    except RatesError as error:
        raise BadRates(str(error), rates=[str(error)]) from error


def _start(project: Project, wish: Wish) -> datetime:
    """Not before the spans that are kept: records of earlier hours could not be written anew."""
    return max(filter(None, (wish.starts_at, spans_since(project.pk))))


def _outcome(call: Call, rates: PriceRates | None = None) -> Outcome:
    """The call's cost now, and by the price book, before which the rates go."""
    after = msgspec.structs.replace(call)
    freeze_cost(after)
    cost = pricing.cost_of(usage_of(call), rates.at(call.started_at), service_tier=call.service_tier) if rates else None
    if cost is not None:
        after.cost_usd = cost.usd
    return Outcome(after, call.cost_usd, after.cost_usd)


# --- The work -------------------------------------------------------------------------------------------------


@transaction.atomic
def request_reprice(*, project: Project, wish: Wish, zone: ZoneInfo, actor: Actor, now: datetime) -> Reprice:
    """Set the wished price if there is one, and have the costs worked out anew once the transaction commits.

    The work that is under way for the model already is returned instead of a second one. Raises NothingToReprice,
    BadRates, and what `add_own_price` raises.
    """
    under_way = _under_way(project, wish)
    if under_way is not None:
        return under_way
    if not preview(project=project, wish=wish, zone=zone, now=now).sums.changed_calls:
        raise NothingToReprice(model=wish.model)
    if wish.rates is not None:
        providers.add_own_price(
            project=project,
            provider=wish.provider,
            model=wish.model,
            rates=wish.rates,
            starts_on=wish.starts_on,
            actor=actor,
            now=now,
        )
    try:
        with transaction.atomic():
            return _begin(project, wish, actor, now)
    except IntegrityError:
        under_way = _under_way(project, wish)
        if under_way is None:
            raise
        return under_way


def _under_way(project: Project, wish: Wish) -> Reprice | None:
    open_ones = Reprice.objects.filter(project=project, finished_at=None)
    return open_ones.filter(provider=wish.provider, model=wish.model).first()


def _begin(project: Project, wish: Wish, actor: Actor, now: datetime) -> Reprice:
    reprice = Reprice.objects.create(
        project=project,
        provider=wish.provider,
        model=wish.model,
        starts_at=_start(project, wish),
        ends_at=max(now, _start(project, wish)),
        includes_priced=wish.includes_priced,
        requested_by=actor.name,
        requested_by_kind=actor.kind,
        requested_at=now,
    )
    audit.record(
        actor=actor,
        action="telemetry.reprice_requested",
        project=project,
        target=reprice,
        at=now,
        details={
            "provider": wish.provider,
            "starts_at": reprice.starts_at.isoformat(),
            "includes_priced": wish.includes_priced,
        },
    )
    jobs.enqueue(JOB, reprice_id=reprice.pk)
    return reprice


def run(reprice_id: int, *, now: datetime, max_seconds: float = MAX_SECONDS) -> bool:
    """Go on with the work until it is finished or the time is over; True when there is more to do.

    False as well when somebody else is at it, or it is finished.
    """
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    if not Reprice.objects.filter(free, pk=reprice_id, finished_at=None).update(leased_until=now + LEASE):
        return False
    Reprice.objects.filter(pk=reprice_id, started_at=None).update(started_at=now)
    # The price was set a moment ago, perhaps by another process.
    price_book.forget()
    until = time.monotonic() + max_seconds
    while time.monotonic() < until:
        if not _with_retry(reprice_id):
            return False
    Reprice.objects.filter(pk=reprice_id).update(leased_until=None)
    return True


def _with_retry(reprice_id: int) -> bool:
    """One portion; again when a writer of the same rows was in the way."""
    for attempt in range(TRIES):
        try:
            return reprice_portion(reprice_id)
        except OperationalError:
            if attempt == TRIES - 1:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("the loop returns or raises")


@transaction.atomic
def reprice_portion(reprice_id: int) -> bool:
    """Work out the costs of the next calls; False when it was finished, now or before."""
    reprice = Reprice.objects.select_for_update().select_related("project").get(pk=reprice_id)
    if reprice.finished_at is not None:
        return False
    after = Place(reprice.cursor_at or reprice.starts_at, bytes(reprice.cursor_trace), bytes(reprice.cursor_span))
    found = find_calls(
        reprice.project_id,
        provider=reprice.provider,
        model=reprice.model,
        after=after,
        end=reprice.ends_at,
        includes_priced=reprice.includes_priced,
        limit=CALLS_PER_PORTION,
    )
    if found:
        wish = Wish(reprice.provider, reprice.model, reprice.starts_at.date(), reprice.includes_priced)
        outcomes = [_outcome(call) for call in _locked(found) if wish.holds(call)]
        _write([outcome for outcome in outcomes if outcome.is_changed])
        last = found[-1]
        reprice.cursor_at, reprice.cursor_trace, reprice.cursor_span = last.started_at, last.trace_id, last.span_id
        _book(reprice, sums_of(outcomes))
    if len(found) < CALLS_PER_PORTION:
        _finish(reprice)
        return False
    return True


def _locked(calls: Sequence[Call]) -> list[Call]:
    """The calls as they are now that nobody else can change them."""
    starts = [call.started_at for call in calls]
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [*_keys(calls), calls[0].project_id, min(starts), max(starts)])
        return [call_of(row) for row in cursor.fetchall()]


def _keys(calls: Sequence[Call]) -> list[str]:
    return [
        bytes_array(call.trace_id for call in calls),
        bytes_array(call.span_id for call in calls),
        times_array(call.started_at for call in calls),
    ]


def _write(outcomes: Sequence[Outcome]) -> None:
    """Store the costs, and have everything that was added up from them written anew."""
    if not outcomes:
        return
    calls = [outcome.call for outcome in outcomes]
    project_id, starts = calls[0].project_id, [call.started_at for call in calls]
    hours = sorted({clock.floor_hour(at) for at in starts})
    at = clock.now()
    with connection.cursor() as cursor:
        costs, prices = [call.cost_usd for call in calls], [call.price_id for call in calls]
        cursor.execute(WRITE, [*_keys(calls), costs, prices, project_id, min(starts), max(starts)])
        cursor.execute(DIRTY, [project_id, at, times_array(hours)])
        append_fresh(cursor, [(project_id, call.trace_id, call.span_id, call.started_at) for call in calls], now=at)


def _book(reprice: Reprice, sums: Sums) -> None:
    """Add to the row, and keep the lease."""
    for field in fields(Sums):
        held, more = getattr(reprice, field.name), getattr(sums, field.name)
        setattr(reprice, field.name, pricing.EXACT.add(held, more) if isinstance(more, Decimal) else held + more)
    reprice.leased_until = clock.now() + LEASE
    reprice.save()


def _finish(reprice: Reprice) -> None:
    reprice.finished_at, reprice.leased_until = clock.now(), None
    reprice.save()
    audit.record(
        actor=Actor(kind="system", id=None, name="system"),
        action="telemetry.repriced",
        project=reprice.project,
        target=reprice,
        at=reprice.finished_at,
        details={
            "requested_by": reprice.requested_by,
            "changed_calls": reprice.changed_calls,
            "before_usd": f"{reprice.before_usd:f}",
            "after_usd": f"{reprice.after_usd:f}",
        },
    )


def resume(*, now: datetime) -> None:
    """Wake up the work that is not finished and that nobody is at."""
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    for reprice_id in Reprice.objects.filter(free, finished_at=None).order_by("pk").values_list("pk", flat=True):
        jobs.enqueue(JOB, reprice_id=reprice_id)
