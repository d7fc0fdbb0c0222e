"""Suggestions of the Optimise page in words: what to do, by which numbers, and why nothing can be said."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from apps.core import formats, money
from apps.dashboards.optimise_selectors import Found
from apps.dashboards.optimising import LEAST_CALLS, LEAST_RETRIEVALS, Kind, Suggestion
from apps.telemetry.addresses import not_said
from apps.telemetry.figures import Dimension


def heading(kind: Kind) -> str:
    """What the suggestions of a kind are called."""
    return {
        Kind.MODEL: _("A cheaper model"),
        Kind.REPEATS: _("Answers to keep"),
        Kind.PREFIX: _("A prompt to cache"),
        Kind.LONG: _("Overlong prompts"),
        Kind.CHUNKS: _("Chunks that nobody uses"),
        Kind.FAILED: _("Failed calls that cost"),
    }[kind]


def names_of(suggestion: Suggestion) -> dict[str, Any]:
    """The facts as they stand in sentences."""
    written: dict[str, Any] = {}
    for name, value in suggestion.facts.items():
        if name in {"share", "ratio", "unused"}:
            written[name] = formats.percent(float(value))
        elif name == "cost_usd":
            written[name] = money.display(value)  # type: ignore[arg-type]
        elif isinstance(value, int) and not name.endswith("_run"):
            written[name] = formats.number(value)
        else:
            written[name] = value
    return {**written, "subject": suggestion.subject or not_said(Dimension.FEATURE)}


def advice(suggestion: Suggestion) -> str:
    """What to do, in a sentence."""
    return {
        Kind.MODEL: _("%(subject)s: %(to_model)s in place of %(from_model)s"),
        Kind.REPEATS: _("%(subject)s: keep answers for a day, %(share)s of its inputs come again"),
        Kind.PREFIX: _("%(subject)s: cache its beginning, about %(prefix_tokens)s tokens are always the same"),
        Kind.LONG: _("%(subject)s: shorten what is put in, P95 is %(p95)s tokens and the usual input %(usual)s"),
        Kind.CHUNKS: _("%(subject)s: retrieve less, %(unused)s of its chunks are not used in the answer"),
        Kind.FAILED: _("%(subject)s: stop paying for failures, %(share)s of its spend"),
    }[suggestion.kind] % names_of(suggestion)


def method(suggestion: Suggestion) -> str:
    """How the saving was worked out."""
    return {
        Kind.MODEL: _(
            "%(verdict)s On the same examples it cost %(ratio)s of the other; times the %(cost_usd)s of its %(calls)s"
            " calls in 30 days."
        ),
        Kind.REPEATS: _(
            "%(repeats)s of the newest %(sampled)s calls repeat an input word for word to the same model within 24 h;"
            " their part of the cost, times the %(cost_usd)s of 30 days."
        ),
        Kind.PREFIX: _(
            "%(share)s of %(sampled)s inputs is one common beginning, %(cached_tokens)s tokens a call are cached; the"
            " rest at the input price of %(model)s less that of cached reads, times %(calls)s calls in 30 days."
        ),
        Kind.LONG: _(
            "What goes beyond twice the usual length in %(sampled)s calls, at the input price, times %(calls)s calls in"
            " 30 days."
        ),
        Kind.CHUNKS: _(
            "%(chunks)s chunks of %(retrievals)s retrievals, each weighed with what of it was not used, at about"
            " %(tokens_per_chunk)s tokens (four characters each, of %(sampled)s retrievals) and the input price."
        ),
        Kind.FAILED: _(
            "%(failed)s of the newest %(sampled)s calls failed and cost something; their part of the cost, times the"
            " %(cost_usd)s of 30 days."
        ),
    }[suggestion.kind] % names_of(suggestion)


def silence(kind: Kind, found: Found) -> str:
    """Why nothing of the kind is suggested."""
    sampled = {"sampled": formats.number(found.sampled), "least": LEAST_CALLS}
    if kind is Kind.MODEL:
        if not found.compared:
            return _("Not enough data: no comparison of two models over an eval set that names a feature.")
        return _("No model that was not worse was cheaper, or its feature has no known spend.")
    if kind is Kind.CHUNKS:
        if found.retrievals < LEAST_RETRIEVALS:
            return _("Not enough data: %(count)s retrievals whose use is known, of at least %(least)s.") % {
                "count": formats.number(found.retrievals),
                "least": LEAST_RETRIEVALS,
            }
        return _("No feature leaves half of its chunks unused, or the price of its input is not known.")
    if found.sampled < LEAST_CALLS:
        return _("Not enough data: %(sampled)s calls in 30 days, of at least %(least)s.") % sampled
    return {
        Kind.REPEATS: _("Of the newest %(sampled)s calls, no feature repeats one input in twenty."),
        Kind.PREFIX: _("Among the newest %(sampled)s calls, no prompt begins alike for 1,024 tokens uncached."),
        Kind.LONG: _("Among the newest %(sampled)s calls, no prompt's P95 is four times its usual length."),
        Kind.FAILED: _("Among the newest %(sampled)s calls, hardly any failed one cost something."),
    }[kind] % sampled
