"""What the account of the intake means, and what to change: words for every code that items and requests are refused
with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core import charts, formats
from apps.core.periods import Period
from apps.telemetry.client_names import family
from apps.telemetry.figures import Interval, bucket_starts
from apps.telemetry.selectors.intake import UNKNOWN_REASON, Account, Counts
from apps.telemetry.trace_words import FLAGS, INHERITED, QUIET_FLAGS

MEND = {
    "invalid_trace_id": gettext_lazy("Send 32 hexadecimal digits, not all zero, such as a UUID without hyphens."),
    "invalid_span_id": gettext_lazy("Send 16 hexadecimal digits that are not all zero."),
    "invalid_parent_span_id": gettext_lazy("Send 16 hexadecimal digits, or leave it out for a root."),
    "missing_trace_id": gettext_lazy("Every item needs a trace_id."),
    "missing_span_id": gettext_lazy("Every span needs a span_id."),
    "missing_name": gettext_lazy("Every span needs a name: what is done, such as the operation or the route."),
    "missing_started_at": gettext_lazy("Every span needs its start as ISO 8601 with a time zone."),
    "invalid_started_at": gettext_lazy("Send ISO 8601 with a time zone, such as 2026-11-23T10:00:00Z."),
    "invalid_ended_at": gettext_lazy("Send ISO 8601 with a time zone, such as 2026-11-23T10:00:00Z."),
    "invalid_latency_ms": gettext_lazy("Send the length in milliseconds, as a number."),
    "invalid_kind": gettext_lazy("Send llm, embedding, retriever, reranker, tool, agent or chain."),
    "invalid_status": gettext_lazy("Send ok or error."),
    "invalid_cost_usd": gettext_lazy("Send dollars as a decimal number that is not negative, or leave the cost out."),
    "invalid_timestamp": gettext_lazy("Send ISO 8601 with a time zone."),
    "invalid_value": gettext_lazy("Send a value that the score can have: a finite number, 0 or 1 for thumbs."),
    "invalid_name": gettext_lazy("Send a name of one to 128 printable characters."),
    "missing_value": gettext_lazy("A score needs a value, a label or a comment."),
    "missing_target": gettext_lazy("A score needs what is scored: trace_id, span_id or session_id."),
    "number_out_of_range": gettext_lazy("A number does not fit into 64 bits. Look for a counter that ran over."),
    "too_deep": gettext_lazy("Flatten the attributes, or send deep structures as JSON text."),
    "not_json": gettext_lazy("The item is not JSON. Look for text that was cut or not encoded as UTF-8."),
    "not_an_object": gettext_lazy("Each item is a JSON object."),
    "not_storable": gettext_lazy("The database refuses the item. Its message says why; if it makes no sense, tell us."),
    "not_understood": gettext_lazy("A fault of ours. Download the payload and report it."),
    "scores_not_taken": gettext_lazy("Upgrade: this version takes scores."),
    UNKNOWN_REASON: gettext_lazy("Rejected before reasons were counted."),
    # requests that were refused whole
    "unauthenticated": gettext_lazy("The key expired or was revoked. Give the service the key that replaced it."),
    "forbidden": gettext_lazy("The key lacks the scope ingest. Make one that has it under API keys."),
    "too_large": gettext_lazy("Send smaller batches: fewer items at once, or payloads that are cut."),
    "too_many_items": gettext_lazy("Send fewer items at once; in OpenTelemetry, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=512."),
    "unsupported_media_type": gettext_lazy(
        "Send JSON as application/json, OTLP as application/x-protobuf or application/json."
    ),
    "unsupported_encoding": gettext_lazy("Compress with gzip or deflate, or not at all."),
    "corrupt_body": gettext_lazy("The compressed body is damaged. Look at a proxy in between."),
    "malformed": gettext_lazy("The body as a whole cannot be read. Look at the message for where."),
    "too_many_spans_waiting": gettext_lazy(
        "This project sends faster than its share. Clients that try again lose nothing; else send less at once."
    ),
    "overloaded": gettext_lazy("More arrives than can be stored. Clients that try again lose nothing."),
    "internal_error": gettext_lazy("A fault of ours; the log has it under the request id. Please report it."),
    "unavailable": gettext_lazy("The database did not answer. Clients that try again lose nothing."),
}
"""What whoever sends should change."""

FIELD = gettext_lazy("Send the field as the API reference has it, or leave it out.")
MISSING = gettext_lazy("Send the field: it is required.")
STORED_SLOT, UPDATED_SLOT, DUPLICATES_SLOT, REJECTED_SLOT = 3, 1, 7, 8

STEPS_BY_LENGTH = (
    (timedelta(hours=3), Interval.MINUTE),
    (timedelta(days=3), Interval.HOUR),
    (timedelta(days=8), Interval.SIX_HOURS),
)


def mend(code: str) -> str:
    """What to change when items or requests are refused with this code."""
    if code in MEND:
        return str(MEND[code])
    return str(MISSING if code.startswith("missing_") else FIELD)


def flag_meaning(flag: str) -> str:
    """What a flag of a span tells."""
    if flag in FLAGS:
        return str(FLAGS[flag])
    if flag.endswith(INHERITED):
        return _("The value was taken from a span above it in its trace.")
    return {"masked": _("Something was masked before it was stored.")}.get(flag, _("Noted when it was taken in."))


def flags(counts: Mapping[str, int]) -> list[tuple[str, int, str]]:
    """The flags with how many spans have them and what they tell; those that tell of a fault come first."""
    ordered = sorted(counts.items(), key=lambda item: (_is_quiet(item[0]), -item[1], item[0]))
    return [(flag, count, flag_meaning(flag)) for flag, count in ordered]


def _is_quiet(flag: str) -> bool:
    return flag in QUIET_FLAGS or flag.endswith(INHERITED)


def interval_of(period: Period) -> Interval:
    """How the chart cuts the period."""
    return next((step for length, step in STEPS_BY_LENGTH if period.length <= length), Interval.DAY)


def buckets_of(period: Period) -> tuple[datetime, ...]:
    """The starts of the chart's intervals, in UTC."""
    return bucket_starts(period.start, period.end, interval_of(period), UTC)


def answer(account: Account) -> str:
    """The page's sentence: what became of what was sent."""
    total = account.total
    if not total.received and not account.refused_requests:
        return _("Nothing was sent in this time.")
    if not total.received:
        return _("Every request was refused.")
    if total.rejected:
        return _("%(rejected)s of %(received)s items were rejected.") % {
            "rejected": formats.number(total.rejected),
            "received": formats.number(total.received),
        }
    if account.refused_requests:
        return _("Every item was taken, but %(requests)s requests were refused whole.") % {
            "requests": formats.number(account.refused_requests)
        }
    return _("Everything that was sent is here.")


def sums(total: Counts) -> str:
    """The account in one line, so that anybody can check it."""
    names = {name: formats.number(getattr(total, name)) for name in ("received", "stored", "updated", "duplicates")}
    text = _(
        "%(received)s received = %(stored)s stored + %(updated)s updated + %(duplicates)s duplicates"
        " + %(rejected)s rejected"
    )
    return text % {**names, "rejected": formats.number(total.rejected)}


def chart(account: Account, times: Sequence[datetime]) -> charts.Chart:
    """What became of the items over time."""
    rows = account.series
    return charts.stacked_bars(
        id="chart-intake",
        title=_("What became of it?"),
        subtitle=_("Items by the time they arrived, UTC"),
        times=times,
        series=[
            charts.Series(_("stored"), [row.stored for row in rows], STORED_SLOT),
            charts.Series(_("updated"), [row.updated for row in rows], UPDATED_SLOT),
            charts.Series(_("duplicates"), [row.duplicates for row in rows], DUPLICATES_SLOT),
            charts.Series(_("rejected"), [row.rejected for row in rows], REJECTED_SLOT),
        ],
        unit=charts.COUNT,
    )


def families(clients: Iterable[tuple[str, Counts]]) -> list[tuple[str, Counts]]:
    """The clients without their versions, those that sent most first."""
    found: dict[str, Counts] = {}
    for client, counts in clients:
        name = family(client)
        found[name] = found[name].plus(counts) if name in found else counts
    return sorted(found.items(), key=lambda item: (-item[1].received, item[0]))
