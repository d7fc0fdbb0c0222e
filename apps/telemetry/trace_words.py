"""One trace in words: how it ended, what stands beside its figures, what its flags mean."""

from __future__ import annotations

from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core import formats, money
from apps.telemetry.selectors.traces import SpanView, Trace

FLAGS = {
    "clock": gettext_lazy(
        "The sender's clock cannot be right: the span is stored under the time it was received."
        " Its own start stands among the attributes."
    ),
    "truncated": gettext_lazy("Something was longer than may be kept and was cut."),
    "text_replaced": gettext_lazy("Characters that cannot be stored were replaced by �."),
    "number_replaced": gettext_lazy("NaN or Infinity was sent where a number belongs; it is kept as unknown."),
    "negative_duration": gettext_lazy("The end lies before the start, so the length is unknown."),
    "environment_assumed": gettext_lazy("No environment was sent; production is assumed."),
}
"""What each flag of a span means for whoever reads it."""

QUIET_FLAGS = {"environment_assumed"}
"""Flags that tell of no fault; they are shown among the attributes only."""


def head(trace: Trace, length_ms: int | None) -> str:
    """The answer: how it ended, after how long, for how much."""
    root = trace.root
    failed = sum(span.status == "error" for span in trace.spans)
    names = {
        "length": formats.milliseconds(length_ms),
        "cost": money.display(trace.totals.cost_usd),
        "error": root.error_type or _("an error"),
        "failed": failed,
    }
    if root.status == "error":
        text = _("Failed after %(length)s: %(error)s") if length_ms is not None else _("Failed: %(error)s")
        return f"{text % names}."
    text = _opening(trace, length_ms) % names
    if not failed:
        return f"{text}."
    steps = ngettext("one step failed", "%(failed)s steps failed", failed) % names
    return _("%(ended)s; %(steps)s.") % {"ended": text, "steps": steps}


def _opening(trace: Trace, length_ms: int | None) -> str:
    has_cost = trace.totals.cost_usd is not None
    if length_ms is None:
        return _("Answered for %(cost)s") if has_cost else _("Answered, after an unknown time")
    return _("Answered in %(length)s for %(cost)s") if has_cost else _("Answered in %(length)s")


def costs_note(trace: Trace) -> str:
    """What is missing from the cost; empty when it is whole."""
    unpriced = trace.totals.unpriced_calls
    if not unpriced:
        return ""
    text = ngettext("plus %(count)s unpriced call", "plus %(count)s unpriced calls", unpriced)
    return text % {"count": unpriced}


def models_note(share: Decimal | None, calls: int) -> str:
    """The line below the waterfall: which part of the time went to models."""
    if share is None:
        return ""
    text = ngettext("The model call took %(share)s of the time.", "The model calls took %(share)s of the time.", calls)
    return text % {"share": formats.percent(share, 0)}


def flags_of(span: SpanView) -> list[str]:
    """The span's flags in words, those that tell of a fault; one that is not known here stands as it is."""
    return [str(FLAGS.get(flag, flag)) for flag in span.flags if flag not in QUIET_FLAGS]
