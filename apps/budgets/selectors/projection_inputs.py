"""What a projection is worked out from: calls of the past, traffic of the past, prices of today."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from apps.budgets.projecting import Inputs, NoCalls, Numbers, Sampled, WhatIf, draw_calls, project, what_if
from apps.budgets.projection_drift import ActualDay
from apps.core.errors import DomainError
from apps.projects.models import Project
from apps.providers.rates import PriceRates, rates_from_json
from apps.providers.selectors import price_book
from apps.providers.selectors.prices import get_price, list_own_prices
from apps.providers.types import NO_ROW
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable, Filters, Interval
from apps.telemetry.selectors.figures import read_figures, read_tables
from apps.telemetry.selectors.token_samples import sample_tokens

MOST_SAMPLED = 400
"""So many calls are kept with a projection, evenly picked."""
MOST_MODELS = 8
CACHE_RATES = (None, Decimal(0), Decimal("0.5"), Decimal("0.9"))
NOT_TRAFFIC = frozenset({"eval", "judge"})
"""Sources of calls that no user of the product made."""
FREE = {"input": "0", "output": "0"}
LEAST_SAMPLED = 20


class UnpricedModel(DomainError):
    """The model has no price now."""

    code, http_status = "unpriced_model", 422
    message = "No price is known for {model}. Set one under Settings, Prices, or with POST /api/v1/prices."


class NothingToProject(DomainError):
    """There are no calls, or numbers that no calls have."""

    code, http_status = "nothing_to_project", 422


@dataclass(frozen=True)
class Gathered:
    """Everything a projection is made of."""

    inputs: Inputs
    calls: Sequence[Sampled]
    by_weekday: tuple[Decimal, ...]
    price: dict[str, Any]
    rates: PriceRates
    numbers: Numbers


def gather(project_: Project, *, feature: str, environment: str, inputs: Inputs, now: datetime) -> Gathered:
    """The projection by these inputs at this moment. Raises UnpricedModel and NothingToProject."""
    price = price_of(project_, inputs.provider, inputs.model, now)
    if price is None:
        raise UnpricedModel(model=f"{inputs.provider}/{inputs.model}" if inputs.provider else inputs.model)
    rates = rates_from_json(price["rates"]).at(now)
    try:
        calls = _calls(project_, feature, environment, inputs, now)
        by_weekday = _traffic(project_, feature, environment, inputs, now)
        numbers = project(inputs, calls, by_weekday, rates)
    except NoCalls as problem:
        raise NothingToProject(str(problem)) from problem
    return Gathered(inputs, calls, by_weekday, price, rates, numbers)


def price_of(project_: Project, provider: str, model: str, now: datetime) -> dict[str, Any] | None:
    """The price list in force as JSON, with the row it was read from; None when none is known."""
    priced = price_book.price_for(project_.pk, provider or None, model, now)
    if priced is None:
        return None
    rates = FREE if priced.price_id == NO_ROW else get_price(priced.price_id).rates
    return {
        "price_id": priced.price_id,
        "provider": priced.provider,
        "model": priced.model,
        "source": priced.source,
        "starts_on": priced.starts_on.isoformat(),
        "rates": rates,
    }


def _calls(project_: Project, feature: str, environment: str, inputs: Inputs, now: datetime) -> list[Sampled]:
    if inputs.tokens == "typed":
        if not inputs.input_mean and not inputs.output_mean:
            raise NoCalls("Type the mean number of input and output tokens in.")
        return draw_calls(inputs)
    from_evals = inputs.tokens == "eval"
    place = "" if from_evals else environment
    found = sample_tokens(
        project_.pk, feature=feature, environment=place, days=inputs.days, until=now, from_evals=from_evals
    )
    if len(found) < LEAST_SAMPLED:
        what = "calls of eval runs" if from_evals else "calls"
        raise NoCalls(
            f"There are {len(found)} {what} in {inputs.days} days, and {LEAST_SAMPLED} are needed. "
            "Look at more days, or type the tokens in."
        )
    step = max(1, -(-len(found) // MOST_SAMPLED))
    return [Sampled(*counts) for counts in found[::step]]


def _traffic(project_: Project, feature: str, environment: str, inputs: Inputs, now: datetime) -> tuple[Decimal, ...]:
    if inputs.traffic == "typed":
        return inputs.typed_calls()
    today = now.astimezone(ZoneInfo(project_.timezone)).date()
    days = actual_days(
        project_, feature=feature, environment=environment, first=today - timedelta(inputs.days), end=today
    )
    # Before the first call there was nothing to measure.
    began = next((place for place, day in enumerate(days) if day.calls), None)
    if began is None:
        raise NoCalls(f"There was no call in {inputs.days} full days. Type the traffic in.")
    by_weekday: defaultdict[int, list[int]] = defaultdict(list)
    for day in days[began:]:
        by_weekday[day.day.weekday()].append(day.calls)
    counts = [count for each in by_weekday.values() for count in each]
    mean = Decimal(sum(counts)) / len(counts)
    means = ((Decimal(sum(each)) / len(each)) if (each := by_weekday.get(place)) else mean for place in range(7))
    return tuple(one * inputs.factor for one in means)


def actual_days(project_: Project, *, feature: str, environment: str, first: date, end: date) -> list[ActualDay]:
    """What the product's own calls came to on each day from `first` up to, not including, `end`."""
    request = _request(project_, feature, environment, first, end)
    return days_of(read_tables(project_.pk, [request])[0], first, end)


def _request(project_: Project, feature: str, environment: str, first: date, end: date) -> FigureRequest:
    zone = ZoneInfo(project_.timezone)
    return FigureRequest(
        start=datetime(first.year, first.month, first.day, tzinfo=zone),
        end=datetime(end.year, end.month, end.day, tzinfo=zone),
        group_by=(Dimension.SOURCE,),
        interval=Interval.DAY,
        filters=Filters(environment=environment or None, feature=feature or None),
        timezone=zone,
        has_lengths=False,
    )


def several_actual_days(project_: Project, wanted: Sequence[tuple[str, str, date, date]]) -> list[list[ActualDay]]:
    """The same for several features and environments at once, in two queries."""
    if not wanted:
        return []
    tables = read_tables(project_.pk, [_request(project_, *each) for each in wanted])
    return [days_of(table, each[2], each[3]) for table, each in zip(tables, wanted, strict=True)]


def days_of(table: FigureTable, first: date, end: date) -> list[ActualDay]:
    """The table's days, sources that are no traffic left out; days without calls have zeros."""
    zone = table.request.timezone
    days = {
        first + timedelta(place): ActualDay(first + timedelta(place), None, 0) for place in range((end - first).days)
    }
    for row in table.rows:
        if row.group[0] in NOT_TRAFFIC or row.at is None:
            continue
        day = row.at.astimezone(zone).date()
        had = days[day]
        days[day] = ActualDay(
            day,
            had.cost_usd if row.cost_usd is None else (had.cost_usd or Decimal(0)) + row.cost_usd,
            had.calls + row.calls,
            had.unpriced_calls + row.unpriced_calls,
            had.input_tokens + row.input_tokens,
            had.output_tokens + row.output_tokens,
            had.cached_input_tokens + row.cached_input_tokens,
            had.cache_write_tokens + row.cache_write_tokens,
            had.reasoning_tokens + row.reasoning_tokens,
        )
    return [days[day] for day in sorted(days)]


def known_models(project_: Project, *, now: datetime) -> list[tuple[str, str]]:
    """Provider and model of what the project calls (the dearest first) and has set prices for, at most MOST_MODELS."""
    table = read_figures(
        project_.pk,
        start=now - timedelta(days=30),
        end=now,
        group_by=(Dimension.PROVIDER, Dimension.MODEL),
        has_lengths=False,
    )
    found = [(row.group[0], row.group[1]) for row in table.groups if row.group[1]]
    found += [(line.provider, line.model) for line in list_own_prices(project_, on=now.date())]
    return list(dict.fromkeys(found))[:MOST_MODELS]


def what_ifs(
    project_: Project,
    *,
    inputs: Inputs,
    calls: Sequence[Sampled],
    by_weekday: Sequence[Decimal],
    now: datetime,
    models: Sequence[tuple[str, str]] = (),
    cache_rates: Sequence[Decimal | None] = CACHE_RATES,
) -> list[list[WhatIf]]:
    """A row for each model, a cell for each cache rate: the projection's own model first, at today's prices."""
    wanted = list(dict.fromkeys([(inputs.provider, inputs.model), *models]))[: MOST_MODELS + 1]
    rows = []
    for provider, model in wanted:
        price = price_of(project_, provider, model, now)
        rates = rates_from_json(price["rates"]).at(now) if price else None
        rows.append(
            [
                what_if(inputs, calls, by_weekday, provider=provider, model=model, rates=rates, cache_rate=rate)
                for rate in cache_rates
            ]
        )
    return rows
