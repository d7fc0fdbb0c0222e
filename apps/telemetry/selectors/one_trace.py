"""One trace: its outline, which is quick however many spans it has, and any of its spans.

The outline comes from one query that adds up all spans and hands over their ids, parents and starts packed as bytes;
rows are then read only for the spans that are shown.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.db import connection

from apps.core.errors import NotFound
from apps.telemetry.selectors.log_content import add_log_content
from apps.telemetry.selectors.spans import LONGEST_TRACE, Place, SpanView, read_rows, read_spans
from apps.telemetry.tree import in_tree_order
from apps.telemetry.waterfall import Extent

MOST_SPANS = 5_000
"""How many spans of one trace are handed out with their payloads; totals are of all."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL counts its microseconds from."""

TALKING = ("llm", "tool", "retriever", "reranker")
"""The kinds of spans that a trace's conversation is made of."""

SAID = ("user_id", "session_id", "feature", "environment", "prompt_name", "prompt_version")
"""What a trace says of itself: the first value that a span without a parent has, or else any."""


@dataclass(slots=True)
class Totals:
    """What the counted spans of a trace add up to. `cost_usd` is None when no call has a known cost.

    `model_calls` are requests to providers: a span in which a client tried again stands for several. A call has failed
    when its span says so, or when its answer broke off (finish reason `error`).
    """

    model_calls: int = 0
    model_errors: int = 0
    embedding_calls: int = 0
    tool_runs: int = 0
    retrievals: int = 0
    rerankings: int = 0
    agents: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    embedding_input_tokens: int = 0
    cost_usd: Decimal | None = None
    unpriced_calls: int = 0


LLM = "counted AND kind = 'llm'"
TOTALS = {
    "model_calls": f"coalesce(sum(attempts) FILTER (WHERE {LLM}), 0)::bigint",
    "model_errors": f"""coalesce(sum(CASE WHEN status = 'error' OR finish_reason = 'error' THEN attempts
      ELSE attempts - 1 END) FILTER (WHERE {LLM}), 0)::bigint""",
    "embedding_calls": "count(*) FILTER (WHERE counted AND kind = 'embedding')",
    "tool_runs": "count(*) FILTER (WHERE kind = 'tool')",
    "retrievals": "count(*) FILTER (WHERE kind = 'retriever')",
    "rerankings": "count(*) FILTER (WHERE kind = 'reranker')",
    "agents": "count(*) FILTER (WHERE kind = 'agent')",
    **{
        f"{name}_tokens": f"coalesce(sum({name}_tokens) FILTER (WHERE {LLM}), 0)::bigint"
        for name in ("input", "output", "cached_input", "cache_write", "reasoning")
    },
    "embedding_input_tokens": ("coalesce(sum(input_tokens) FILTER (WHERE counted AND kind = 'embedding'), 0)::bigint"),
    "cost_usd": "sum(cost_usd) FILTER (WHERE counted AND kind IN ('llm', 'embedding'))",
    "unpriced_calls": "count(*) FILTER (WHERE counted AND kind IN ('llm', 'embedding') AND cost_usd IS NULL)",
}
assert tuple(TOTALS) == tuple(each.name for each in fields(Totals))

FIRST_SAID = "coalesce((array_agg({name}) FILTER (WHERE parent_span_id IS NULL AND {name} <> ''))[1], max({name}), '')"
MILLISECOND = "interval '1 millisecond'"
MILLISECONDS = "(extract(epoch FROM {}) * 1000)::bigint"
LENGTH = f"""coalesce(latency_ms, CASE WHEN ended_at IS NOT NULL
  THEN greatest(0, {MILLISECONDS.format("ended_at - client_started_at")}) END)"""

# Aggregates take the rows in the order of the inner query, so that bytes and firsts are in the order of the starts.
OUTLINE = f"""
SELECT count(*), min(started_at), max(started_at), max(ended_at), count(*) FILTER (WHERE status = 'error'),
  string_agg(span_id, ''::bytea), string_agg(coalesce(parent_span_id, '\\x0000000000000000'), ''::bytea),
  string_agg(timestamptz_send(started_at), ''::bytea),
  string_agg(CASE WHEN kind = 'llm' THEN 'l' WHEN kind = ANY ('{{{{{",".join(TALKING)}}}}}') THEN 'y' ELSE 'n' END, ''),
  min(client_started_at) FILTER (WHERE is_right), max(client_started_at + coalesce(length, 0) * {MILLISECOND})
    FILTER (WHERE is_right), max(length) FILTER (WHERE NOT is_right),
  min(client_started_at), max(client_started_at + coalesce(length, 0) * {MILLISECOND}),
  bool_or(length IS NOT NULL), bool_or(is_right),
  string_agg(timestamptz_send(client_started_at) || int8send(length), ''::bytea)
    FILTER (WHERE {LLM} AND is_right AND length > 0),
  (array_agg(ttft_ms) FILTER (WHERE counted AND ttft_ms IS NOT NULL))[1],
  (array_agg(span_id) FILTER (WHERE counted AND status = 'error'))[1],
  (array_agg(span_id) FILTER (WHERE status = 'error'))[1],
  {", ".join(FIRST_SAID.format(name=name) for name in SAID)},
  {", ".join(TOTALS.values())}
FROM (
  SELECT span_id, parent_span_id, started_at, client_started_at, ended_at, status, kind, counted, ttft_ms, input_tokens,
    output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, cost_usd, attempts, finish_reason,
    {", ".join(SAID)},
    {LENGTH} AS length, NOT flags && '{{clock}}' AS is_right FROM telemetry_span
  WHERE project_id = %s AND trace_id = %s{{bounds}} ORDER BY started_at, span_id
) AS span
"""  # noqa: S608 -- names of our own columns


@dataclass
class Outline:
    """A trace without its spans: what they add up to, and where each is to be found.

    `identities`, `moments` (microseconds since EPOCH), `depths` and `talks` (`n` where the span says nothing, `l` for
    model calls) are in the order of the starts; `order` are the places in them in the order of the tree, which is how
    spans are counted.
    """

    project_id: int
    trace_id: str
    started_at: datetime
    ended_at: datetime | None
    failed: int
    identities: list[bytes]
    moments: tuple[int, ...]
    order: list[int]
    depths: list[int]
    talks: str
    extent: Extent
    model_ms: list[tuple[int, int]]
    ttft_ms: int | None
    worth_opening: list[str]
    said: dict[str, str]
    totals: Totals

    @property
    def count(self) -> int:
        """How many spans it has."""
        return len(self.order)

    @property
    def status(self) -> str:
        """Error when a span of it failed."""
        return "error" if self.failed else "ok"

    @cached_property
    def root(self) -> SpanView:
        """The first span of the tree, without its payload."""
        return self.rows(0, 1)[0]

    def rows(self, first: int, end: int) -> list[SpanView]:
        """The spans at these places, without their payloads."""
        return self._deep(read_rows(self.project_id, self.places(first, end)), self.order[first:end])

    def spans(self, first: int, end: int) -> list[SpanView]:
        """The spans at these places, with their payloads and what came for them as log records."""
        views = self._deep(read_spans(self.project_id, self.places(first, end)), self.order[first:end])
        add_log_content(self.project_id, views)
        return views

    def places(self, first: int, end: int) -> list[Place]:
        """Where the spans at these places are stored."""
        return self._places(self.order[first:end])

    def _places(self, numbers: Sequence[int]) -> list[Place]:
        trace_id = bytes.fromhex(self.trace_id)
        return [
            (EPOCH + timedelta(microseconds=self.moments[number]), trace_id, self.identities[number])
            for number in numbers
        ]

    def _deep(self, views: list[SpanView], numbers: Sequence[int]) -> list[SpanView]:
        for view, number in zip(views, numbers, strict=False):
            view.depth = self.depths[number]
        return views

    @cached_property
    def talking(self) -> list[int]:
        """Those spans that say something, in the order of the tree."""
        return [number for number in self.order if self.talks[number] != "n"]

    def talking_spans(self, first: int, end: int) -> list[SpanView]:
        """Those spans that say something, from the `first` of them on, with their payloads."""
        numbers = self.talking[first:end]
        views = self._deep(read_spans(self.project_id, self._places(numbers)), numbers)
        add_log_content(self.project_id, views)
        return views

    def place_of(self, span_id: str) -> int | None:
        """Where the span of that id stands; None when the trace has no such span."""
        try:
            return self.order.index(self.identities.index(bytes.fromhex(span_id)))
        except ValueError:
            return None

    def place_to_open(self) -> int:
        """The span to look at first: a call that failed, whatever failed, the first model call, or the root."""
        places = (self.place_of(span_id) for span_id in self.worth_opening)
        return next((place for place in places if place is not None), 0)


@dataclass(slots=True)
class Trace:
    """One trace: its spans in the order of the tree with their payloads, at most MOST_SPANS, and what all its spans add
    up to."""

    trace_id: str
    spans: list[SpanView]
    totals: Totals
    is_cut: bool
    started_at: datetime
    ended_at: datetime | None
    status: str
    said: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> SpanView:
        """The first span of the tree."""
        return self.spans[0]

    def first(self, name: str) -> str:
        """The first value of a text field that a span has; empty when none has one."""
        return self.said.get(name, "")


def get_outline(project_id: int, trace_id: str, *, at: datetime | None = None) -> Outline:
    """The outline of a trace. `at` is the time of any of its spans, if known.

    Raises NotFound when the project has no such trace.
    """
    try:
        raw_id = bytes.fromhex(trace_id)
    except ValueError as error:
        raise NotFound() from error
    row = _outline_row(project_id, raw_id, at) if at is not None else None
    row = row or _outline_row(project_id, raw_id, None)
    if row is None:
        raise NotFound()
    return _outline(project_id, raw_id, row)


def get_trace(project_id: int, trace_id: str, *, at: datetime | None = None) -> Trace:
    """One trace with its spans, payloads included. `at` is the time of any of its spans, if known.

    Raises NotFound when the project has no such trace.
    """
    outline = get_outline(project_id, trace_id, at=at)
    return Trace(
        trace_id=outline.trace_id,
        spans=outline.spans(0, MOST_SPANS),
        totals=outline.totals,
        is_cut=outline.count > MOST_SPANS,
        started_at=outline.started_at,
        ended_at=outline.ended_at,
        status=outline.status,
        said=outline.said,
    )


def _outline_row(project_id: int, trace_id: bytes, at: datetime | None) -> Sequence[Any] | None:
    bounds = "" if at is None else " AND started_at >= %s AND started_at < %s"
    times = [] if at is None else [at - LONGEST_TRACE, at + LONGEST_TRACE]
    with connection.cursor() as cursor:
        cursor.execute(OUTLINE.replace("{bounds}", bounds), [project_id, trace_id, *times])
        row: Sequence[Any] = cursor.fetchone()
    return row if row[0] else None


def _outline(project_id: int, trace_id: bytes, row: Sequence[Any]) -> Outline:
    count, started_at, _last, ended_at, failed, ids, parents, starts, talks, *rest = row
    right_first, right_end, wrong_length, any_first, any_end, has_length, has_right, models, ttft_ms, *others = rest
    failures, said, totals = others[:2], others[2 : 2 + len(SAID)], others[2 + len(SAID) :]
    identities = _cut(ids)
    first_call = talks.find("l")
    open_first = [*failures, identities[first_call] if first_call >= 0 else None]
    order, depths = in_tree_order(identities, _cut(parents))
    first, end = (right_first, right_end) if has_right else (any_first, any_end)
    longest = max((end - first) // timedelta(milliseconds=1), (wrong_length or 0) if has_right else 0)
    flat = struct.unpack(f">{len(models or b'') // 8}q", bytes(models or b""))
    return Outline(
        project_id=project_id,
        trace_id=trace_id.hex(),
        started_at=started_at,
        ended_at=ended_at,
        failed=failed,
        identities=identities,
        moments=struct.unpack(f">{count}q", bytes(starts)),
        order=order,
        depths=depths,
        talks=talks,
        extent=Extent(first, longest, has_length, are_clocks_wrong=not has_right),
        model_ms=[(start // 1000, length) for start, length in zip(flat[::2], flat[1::2], strict=True)],
        ttft_ms=ttft_ms,
        worth_opening=[bytes(span_id).hex() for span_id in open_first if span_id is not None],
        said=dict(zip(SAID, said, strict=True)),
        totals=Totals(*totals),
    )


def _cut(packed: Any) -> list[bytes]:
    raw = bytes(packed)
    return [raw[place : place + 8] for place in range(0, len(raw), 8)]
