"""One pass over a span's attributes by the tables of all dialects. Pure; never raises on what a client sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects import metadata
from apps.telemetry.dialects.content import documents, finish_of, is_documents
from apps.telemetry.dialects.table import Convert, Dialect, Draft, Family
from apps.telemetry.otlp import OtlpEvent, OtlpSpan
from apps.telemetry.reading import Reading
from apps.telemetry.types import CALL_KINDS

MAX_EVENTS = 64
MAX_NAMES, MAX_NAME_CHARS = 10_000, 200
"""How many attribute names, of what length, are remembered with what they mean; others are looked up each time."""

CONTENT = frozenset({"input", "output", "documents", "system"})
"""Fields that are said twice by many clients; only the best source is kept."""

RETRIEVALS = frozenset({"retriever", "reranker"})
USAGE = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "cost_usd",
)
OWN = frozenset(Reading.__struct_fields__)

Rule = tuple[int, int, str, Any, bool]
"""Rank, what to do (ONE, MANY, GATHER), the field, how to read, whether it is also kept."""
ONE, MANY, GATHER, MARK = range(4)
Handler = Callable[[Draft, OtlpEvent], bool]
Resource = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


class Reader:
    """The tables of some dialects, first ones first, made into one."""

    def __init__(self, dialects: Sequence[Dialect], resource_fields: Mapping[str, tuple[str, Convert]]) -> None:
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._prefixes: list[tuple[str, Rule]] = []
        self._events: dict[str, Handler] = {}
        self._event_prefixes: list[tuple[str, Handler]] = []
        self._finishers: list[Callable[[Draft], None]] = []
        self._scopes: list[tuple[str, int]] = []
        self._scope_finishers: dict[str, tuple[int, ...]] = {}
        self._resource_fields = resource_fields
        self._resource: Resource = ({}, {}, {})
        self._order = 0
        for dialect in dialects:
            self._add(dialect)
        self._prefixes.sort(key=lambda prefix: -len(prefix[0]))  # the longest one that fits is meant
        self._prefix_words = tuple(prefix for prefix, _ in self._prefixes)
        self._event_words = tuple(prefix for prefix, _ in self._event_prefixes)

    def _add(self, dialect: Dialect) -> None:
        for source in dialect.sources:
            rule = (self._rank(source.rank), ONE, source.field, source.convert, source.keep)
            self._rule(source.attribute, rule)
        for several in dialect.several:
            self._rule(several.attribute, (self._rank(several.rank), MANY, "", several.read, several.keep))
        for family in dialect.families:
            self._prefixes.append((family.prefix, (self._rank(family.rank), GATHER, "", family, False)))
        for space in dialect.metadata:
            for key, (field, convert) in metadata.KEYS.items():
                read = _through(space.convert, convert) if space.convert else convert
                self._rule(space.prefix + key, (self._rank(space.rank), ONE, field, read, False))
        for name, handler in dialect.events.items():
            if name.endswith("*"):
                self._event_prefixes.append((name[:-1], handler))
            else:
                self._events[name] = handler
        if dialect.finish is not None:
            number = len(self._finishers)
            self._finishers.append(dialect.finish)
            for mark in dialect.marks:
                self._rule(mark, (0, MARK, "", number, True))
            self._scopes += [(scope, number) for scope in dialect.scopes]

    def _rank(self, rank: int) -> int:
        self._order += 1
        return rank * 10_000 + self._order

    def _rule(self, name: str, rule: Rule) -> None:
        self._rules[name] = tuple(sorted((*self._rules.get(name, ()), rule), key=lambda one: one[0]))

    def read(self, span: OtlpSpan) -> Reading:
        """The span under our names. Whatever was not understood is among its attributes."""
        draft = Draft(span)
        finishers, gathered = self._attributes(draft)
        for family, rank, pairs in gathered.values():
            self._take(draft, family.build(pairs), rank, family.prefix)
        if span.events:
            self._take_events(draft)
        for number in sorted(finishers):
            self._finishers[number](draft)
        fields, kept = self._resource_of(span.resource)
        for field, value in fields.items():
            draft.add(field, value)
        return _reading(draft, kept)

    def _attributes(self, draft: Draft) -> tuple[set[int], dict[str, tuple[Family, int, list[tuple[str, Any]]]]]:
        fields, ranks, origins, left = draft.fields, draft.ranks, draft.origins, draft.left
        rules = self._rules
        finishers = set(self._finishers_of(draft.span.scope))
        gathered: dict[str, tuple[Family, int, list[tuple[str, Any]]]] = {}
        for name, value in draft.span.attributes.items():
            found = rules.get(name)
            if found is None:
                found = self._meaning(name)
            taken = False
            for rank, action, field, read, keep in found:
                if action == ONE:
                    best = ranks.get(field)
                    if best is not None and best < rank:
                        taken = taken or field in CONTENT
                        continue
                    got = read(value)
                    if got is None:
                        continue
                    if best is not None and field not in CONTENT:
                        left[origins[field]] = draft.attributes[origins[field]]
                    fields[field] = got
                    ranks[field] = rank
                    origins[field] = name
                    taken = taken or not keep
                elif action == MARK:
                    finishers.add(read)
                elif action == GATHER:
                    bucket = gathered.get(read.prefix)
                    if bucket is None:
                        bucket = gathered[read.prefix] = (read, rank, [])
                    bucket[2].append((name[len(read.prefix) :], value))
                    taken = True
                else:
                    several = read(value)
                    if several:
                        self._take(draft, several, rank, name)
                        taken = taken or not keep
            if not taken:
                left[name] = value
        return finishers, gathered

    def _meaning(self, name: str) -> tuple[Rule, ...]:
        """What an attribute means that no table names in full."""
        found: tuple[Rule, ...] = ()
        if name.startswith(self._prefix_words):
            found = next((rule,) for prefix, rule in self._prefixes if name.startswith(prefix))
        if len(self._rules) < MAX_NAMES and len(name) < MAX_NAME_CHARS:
            self._rules[name] = found
        return found

    def _finishers_of(self, scope: str) -> tuple[int, ...]:
        found = self._scope_finishers.get(scope)
        if found is None:
            found = tuple(number for beginning, number in self._scopes if scope.startswith(beginning))
            if len(self._scope_finishers) < MAX_NAMES and len(scope) < MAX_NAME_CHARS:
                self._scope_finishers[scope] = found
        return found

    def _take(self, draft: Draft, several: Mapping[str, Any], rank: int, origin: str) -> None:
        for field, value in several.items():
            if field == "attributes":
                draft.left.update(value)
            elif value is not None and rank < draft.ranks.get(field, 1 << 60):
                previous = draft.origins.get(field, "")
                if previous in draft.attributes and field not in CONTENT:
                    draft.left.setdefault(previous, draft.attributes[previous])
                draft.fields[field] = value
                draft.ranks[field] = rank
                draft.origins[field] = origin

    def _take_events(self, draft: Draft) -> None:
        unknown = []
        for event in draft.span.events:
            handler = self._events.get(event.name)
            if handler is None and event.name.startswith(self._event_words):
                handler = next(one for prefix, one in self._event_prefixes if event.name.startswith(prefix))
            if handler is None or not handler(draft, event):
                unknown.append(event)
        if unknown:
            draft.left["events"] = [
                {"name": one.name, "time": moment(one.time_ns).isoformat(), **one.attributes}
                for one in unknown[:MAX_EVENTS]
            ]
            if len(unknown) > MAX_EVENTS:
                draft.flags.add("truncated")

    def _resource_of(self, resource: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a resource says, as fields and as attributes worth showing. All spans of a batch share theirs."""
        known, fields, kept = self._resource
        if known is resource:
            return fields, kept
        fields, kept = {}, {}
        for name, value in resource.items():
            field, convert = self._resource_fields.get(name, ("", None))
            got = convert(value) if convert else None
            if got is not None:
                fields.setdefault(field, got)
            elif not name.startswith(("telemetry.", "process.", "host.", "os.")):
                kept[f"resource.{name}"] = value
        self._resource = (resource, fields, kept)
        return fields, kept


def _through(outer: Convert, inner: Convert) -> Convert:
    return lambda value: inner(outer(value))


def moment(time_ns: int) -> datetime:
    """Nanoseconds since 1970 as a moment; what lies outside the calendar as 1970."""
    try:
        return to.EPOCH + timedelta(microseconds=time_ns // 1_000)
    except OverflowError:
        return to.EPOCH


def _reading(draft: Draft, kept: Mapping[str, Any]) -> Reading:
    span, fields, left = draft.span, draft.fields, draft.left
    fields.setdefault("kind", "chain")
    _settle_status(draft)
    _settle_content(draft)
    _settle_usage(draft)
    _settle_first_token(draft)
    _settle_words(draft)
    return Reading(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=fields.pop("name", None) or span.name,
        started_at=moment(span.start_ns),
        ended_at=moment(span.end_ns) if span.end_ns else None,
        digest=span.digest,
        scope=fields.pop("scope", None) or span.scope or None,
        attributes={**kept, **left} if kept else left,
        repeats=draft.repeats,
        scores=draft.scores,
        flags=draft.flags | span.flags,
        **{field: value for field, value in fields.items() if field in OWN},
    )


def _settle_status(draft: Draft) -> None:
    """Status 2 is an error and anything else success; what went wrong is said for errors only."""
    fields, span = draft.fields, draft.span
    if fields.get("status") != "error":
        fields["status"] = "error" if span.status_code == 2 else "ok"
    if fields["status"] == "ok":
        for field in ("error_type", "error_message"):
            if field in fields:
                draft.set(field, None)
        return
    if span.status_message:
        fields["error_message"] = span.status_message
    if "error_type" not in fields:
        draft.add("error_type", to.error_type(fields.get("error_message")))


def _settle_content(draft: Draft) -> None:
    fields = draft.fields
    for field, events in (("input", "event_input"), ("output", "event_output")):
        if fields.get(events) is not None and field not in fields:
            fields[field] = fields[events]
    if fields["kind"] in RETRIEVALS and "documents" not in fields and is_documents(fields.get("output")):
        fields["documents"] = documents(fields.pop("output"))
    system = fields.pop("system", None)
    if system is not None:
        fields["input"] = to.with_system(system, fields.get("input"))


def _settle_usage(draft: Draft) -> None:
    """Only calls have usage of their own. A model never reads nothing: zeros mean that nobody counted."""
    fields = draft.fields
    if fields["kind"] not in CALL_KINDS:
        for field in USAGE:
            if field in fields:
                draft.set(field, None)
        return
    total = fields.pop("total_tokens", None)
    read, written = fields.get("input_tokens"), fields.get("output_tokens")
    if total is not None and read is not None and written is None and total >= read:
        fields["output_tokens"] = total - read
    if not read and not written and (read is not None or written is not None):
        for field in USAGE:
            if field in fields and (field != "cost_usd" or not fields[field]):
                draft.set(field, None)
    if "input_tokens" not in fields and fields.get("cost_usd") == 0:
        draft.set("cost_usd", None)


def _settle_first_token(draft: Draft) -> None:
    fields, span = draft.fields, draft.span
    at, if_streamed = fields.get("ttft_at"), fields.get("ttft_if_streamed_ms")
    if "ttft_ms" not in fields:
        if if_streamed is not None and fields.get("streamed"):
            fields["ttft_ms"] = if_streamed
        elif at is not None and at >= span.start_ns > 0:
            fields["ttft_ms"] = (at - span.start_ns) / 1_000_000
    if "ttft_ms" in fields and fields["kind"] not in CALL_KINDS:
        draft.set("ttft_ms", None)
    if "ttft_ms" in fields and "streamed" not in fields:
        fields["streamed"] = True


def _settle_words(draft: Draft) -> None:
    """A tool's name belongs to the span that runs it; a reason that we call otherwise is also kept as it was sent."""
    fields, origins = draft.fields, draft.origins
    if "finish_reason" not in fields and fields["kind"] == "llm":
        draft.add("finish_reason", finish_of(fields.get("output"), streamed=bool(fields.get("streamed"))))
    if "tool_name" in fields and fields["kind"] != "tool":
        draft.set("tool_name", None)
    origin = origins.get("finish_reason")
    if origin in draft.attributes and origin is not None:
        sent = draft.attributes[origin]
        if sent != fields.get("finish_reason") and sent != [fields.get("finish_reason")]:
            draft.left[origin] = sent
