"""The cost of a call: token counts times prices in dollars per million tokens, exact in Decimal. Three ideas:

*Classes.* Input tokens include cached and cache-written ones, output tokens include reasoning ones. Each
token is charged once, in its narrowest class: cached tokens are taken out of the plain input before that is
charged.

*Tiers.* The number of input tokens of the call decides the tier, and its prices hold for all tokens of the
call, not only for those above the line. Google words it so ("prompts > 200k tokens", Gemini API pricing), and
LiteLLM, whose price file we read, applies its `..._above_200k_tokens` prices so (`_get_token_base_cost` in
its `llm_cost_calc/utils.py`).

*Unknown is not free.* No input price, or a count that is missing where a price is not zero, gives None.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from enum import StrEnum
from typing import NamedTuple

from apps.providers.rates import DEARER_PLANS, DISCOUNTED_PLANS, STANDARD, ZERO, Band, PriceRates, TokenPrices

EXACT = Context(prec=100, traps=[Inexact, InvalidOperation, Overflow, DivisionByZero])
"""Arithmetic that raises sooner than round."""

PLAN_OF_SERVICE_TIER = {plan: plan for plan in DISCOUNTED_PLANS | DEARER_PLANS} | {"fast": "priority"}
"""The service tiers that providers report and that change the price. All others ("default", "on_demand") do
not."""


class Usage(NamedTuple):
    """Token counts of one call as the provider reports them; None is unknown. No count may be negative."""

    input_tokens: int | None = None
    """All of them: cached, cache-written and audio tokens included."""
    output_tokens: int | None = None
    """All of them: reasoning and audio tokens included."""
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    """Written with any lifetime, those of an hour included."""
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None


class Note(StrEnum):
    """Why a cost may differ from the provider's bill."""

    CACHED_EXCEEDS_INPUT = "cached_exceeds_input"
    REASONING_EXCEEDS_OUTPUT = "reasoning_exceeds_output"
    STANDARD_PRICE_USED = "standard_price_used"


class Charge(NamedTuple):
    """Some tokens of one class at one price in dollars per million."""

    kind: str
    tokens: int
    per_million_usd: Decimal


class Cost(NamedTuple):
    """What a call costs in dollars, to the last digit, and what it is made of."""

    usd: Decimal
    charges: tuple[Charge, ...]
    per_request_usd: Decimal = ZERO
    notes: tuple[Note, ...] = ()


def cost_of(usage: Usage, rates: PriceRates, *, batch: bool = False, service_tier: str | None = None) -> Cost | None:
    """The cost of a call, or None when it cannot be known; never rounded, never zero for want of a price.

    `batch` means a provider's batch API; `service_tier` is what the provider answered. Where cached tokens
    exceed the input, or reasoning tokens the output, the larger count is charged alone and the cost carries a
    note.
    """
    plan = "batch" if batch else PLAN_OF_SERVICE_TIER.get((service_tier or "").lower(), STANDARD)
    band = _band(rates.plans, plan, usage.input_tokens)
    if band is None or band.prices is None:
        return None
    notes: list[Note] = [Note.STANDARD_PRICE_USED] if band.is_upper_bound else []
    incoming = _input_charges(usage, band.prices, notes)
    outgoing = _output_charges(usage, band.prices, notes)
    if incoming is None or outgoing is None:
        return None
    charges = (*incoming, *outgoing)
    millions = ZERO
    for charge in charges:
        millions = EXACT.fma(charge.tokens, charge.per_million_usd, millions)
    usd = EXACT.add(EXACT.scaleb(millions, -6), rates.per_request)
    return Cost(usd, charges, rates.per_request, tuple(notes))


def _band(plans: Mapping[str, tuple[Band, ...]], plan: str, input_tokens: int | None) -> Band | None:
    """The band for this many input tokens; None when the model has no price or the band depends on an unknown
    count."""
    bands = plans.get(plan)
    if bands is None:
        found = None if plan in DEARER_PLANS | {STANDARD} else _band(plans, STANDARD, input_tokens)
        return found and found._replace(is_upper_bound=True)
    if len(bands) == 1:
        return bands[0]
    if input_tokens is None:
        return None
    return next(band for band in reversed(bands) if input_tokens > band.above or band.above == 0)


def _input_charges(usage: Usage, prices: TokenPrices, notes: list[Note]) -> list[Charge] | None:
    if prices.input is None:
        return None
    if usage.input_tokens is None and prices.input != 0:
        return None
    cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
    written_1h = min(usage.cache_write_1h_tokens or 0, written)
    audio = usage.input_audio_tokens or 0
    plain = (usage.input_tokens or 0) - cached - written
    if plain < 0:
        plain = 0
        notes.append(Note.CACHED_EXCEEDS_INPUT)
    audio = min(audio, plain)
    return _priced(
        ("input", plain - audio, prices.input),
        ("input_audio", audio, prices.input_audio),
        ("cached_read", cached, prices.cached_read),
        ("cache_write", written - written_1h, prices.cache_write),
        ("cache_write_1h", written_1h, prices.cache_write_1h),
    )


def _output_charges(usage: Usage, prices: TokenPrices, notes: list[Note]) -> list[Charge] | None:
    if prices.output is None and not usage.output_tokens and not usage.reasoning_tokens:
        return []  # a model that only reads, such as one for embeddings
    if prices.output is None or (usage.output_tokens is None and prices.output != 0):
        return None
    reasoning = usage.reasoning_tokens or 0
    plain = (usage.output_tokens or 0) - reasoning
    if plain < 0:
        plain = 0
        notes.append(Note.REASONING_EXCEEDS_OUTPUT)
    audio = min(usage.output_audio_tokens or 0, plain)
    return _priced(
        ("output", plain - audio, prices.output),
        ("output_audio", audio, prices.output_audio),
        ("reasoning", reasoning, prices.reasoning),
    )


def _priced(*parts: tuple[str, int, Decimal | None]) -> list[Charge] | None:
    """The parts that have tokens as charges; None when one of them has no price."""
    charges = []
    for kind, tokens, price in parts:
        if not tokens:
            continue
        if price is None:
            return None
        charges.append(Charge(kind, tokens, price))
    return charges
