"""One trace in words: how it ended, what stands beside its figures, what its flags mean."""

from __future__ import annotations

from decimal import Decimal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core import formats, money
from apps.telemetry.selectors.one_trace import Outline
from apps.telemetry.selectors.spans import SpanView
from apps.telemetry.types import CALL_KINDS, REPEATS

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
    REPEATS: gettext_lazy("It repeats the usage of calls that have spans of their own, so it is not counted again."),
}
"""What each flag of a span means for whoever reads it."""

INHERITED = "_inherited"
QUIET_FLAGS = {"environment_assumed", REPEATS}
"""Flags that tell of no fault; they are shown among the attributes only."""


def head(trace: Outline, length_ms: int | None) -> str:
    """The answer: how it ended, after how long, for how much."""
    root = trace.root
    failed = trace.failed
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


def _opening(trace: Outline, length_ms: int | None) -> str:
    has_cost = trace.totals.cost_usd is not None
    if length_ms is None:
        return _("Answered for %(cost)s") if has_cost else _("Answered, after an unknown time")
    return _("Answered in %(length)s for %(cost)s") if has_cost else _("Answered in %(length)s")


def costs_note(trace: Outline) -> str:
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
    return [
        str(FLAGS.get(flag, flag)) for flag in span.flags if flag not in QUIET_FLAGS and not flag.endswith(INHERITED)
    ]


def quiet_notes(span: SpanView) -> list[str]:
    """What is worth knowing of a span and is no fault: where its values come from, and why it is not counted."""
    notes = [str(FLAGS[flag]) for flag in span.flags if flag in QUIET_FLAGS]
    inherited = [flag.removesuffix(INHERITED) for flag in span.flags if flag.endswith(INHERITED)]
    if inherited:
        notes.append(_("Taken from the spans above it: %(names)s.") % {"names": ", ".join(sorted(inherited))})
    if span.kind in CALL_KINDS and not span.counted and REPEATS not in span.flags:
        notes.append(_("Another span reports the same call, and that one is counted."))
    if span.client_cost_usd is not None:
        names = {"sent": money.display(span.client_cost_usd), "ours": money.display(span.cost_usd)}
        text = _("The sender named a cost of %(sent)s; ours is %(ours)s.")
        if span.price_id is None and span.cost_usd is not None:
            text = _("The cost of %(sent)s is the one that the sender named.")
        notes.append(text % names)
    if span.has_log_content:
        notes.append(_("Its messages came apart from it, as log records."))
    return notes
