"""What a span cannot say by itself: whether it is a call of its own, and what it has from the spans above it. Pure.

Clients wrap calls in calls (a framework's model span around the library's), report one call twice (a library's own
spans beside an instrumentation's), and name the user once, on the outermost span. What follows from that is worked out
from all spans of a trace at once, so it does not depend on the order in which they arrived:

- A call is counted once. Of spans that report the same call (the same response or call id, overlapping in time, made by
  different instrumentations; or, of a call that failed before it had an id, a library's own span within the time of
  another's) one is counted; a model span around another model span is not counted, unless a tool, an
  agent or a retrieval lies between them, since then it is another call.
- Who and what for comes from the span, else from the nearest span above that says it, else from the trace's root, else
  from another report of the same call. What a span has from others is flagged, and so can be worked out anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter

import msgspec

from apps.telemetry.types import CALL_KINDS, DEFAULT_ENVIRONMENT, REPEATS, SpanRecord

ASSUMED = "environment_assumed"
INHERITED = {
    "user_id_inherited": ("user_id",),
    "session_id_inherited": ("session_id",),
    "feature_inherited": ("feature",),
    "environment_inherited": ("environment",),
    "prompt_inherited": ("prompt_name", "prompt_version"),
}
"""The flag that says that a span has these fields from another."""

TOLERANCE = timedelta(seconds=1)
"""Clients measure one call with different clocks and at different moments of it."""

LOOK_BACK = 8
"""With how many earlier reports of one id a report is compared. More come only of clients that repeat their ids."""

OWN_SPANS_OF_LIBRARIES = ("com.anthropic.sdk",)
"""Scopes of client libraries that report their own calls. They know the provider's own usage best."""

PROVIDERS_OF_LIBRARIES = frozenset({"anthropic"})
WITHIN = timedelta(milliseconds=100)
"""How far a library's own span of a failed call may lie outside the span around it."""

TRANSPARENT = CALL_KINDS | {"chain"}
"""The kinds of span through which a call may be wrapped; a call below any other span is a call of its own."""


class Facts(msgspec.Struct, gc=False):
    """The columns of a span that settling reads or writes; named as in SpanRecord."""

    project_id: int
    trace_id: bytes
    span_id: bytes
    started_at: datetime
    client_started_at: datetime
    ended_at: datetime | None
    parent_span_id: bytes | None
    kind: str
    counted: bool
    status: str
    scope: str
    response_id: str
    call_id: str
    ttft_ms: int | None
    environment: str
    feature: str
    user_id: str
    session_id: str
    prompt_name: str
    prompt_version: str
    provider: str
    request_model: str
    response_model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    service_tier: str
    cost_usd: Decimal | None
    client_cost_usd: Decimal | None
    price_id: int | None
    flags: list[str]


FACT_COLUMNS = Facts.__struct_fields__
Settled = SpanRecord | Facts
Values = tuple[str, str, str, str, str, str]
"""What is inherited: user, session, feature, environment, prompt and its version."""

NOTHING: Values = ("", "", "", "", "", "")
_derived = attrgetter(
    "counted", "user_id", "session_id", "feature", "environment", "prompt_name", "prompt_version", "flags"
)


def is_call(span: Settled) -> bool:
    """Whether the span by itself reports a call."""
    return span.kind in CALL_KINDS and REPEATS not in span.flags


def take_back(span: Settled) -> None:
    """Leave the span only what its own reports said: nothing inherited, and counted if it reports a call at all."""
    flags = set(span.flags)
    for flag, names in INHERITED.items():
        if flag in flags:
            flags.discard(flag)
            for name in names:
                setattr(span, name, "")
    if not span.environment:
        span.environment = DEFAULT_ENVIRONMENT
        flags.add(ASSUMED)
    if len(flags) != len(span.flags) or flags != set(span.flags):
        span.flags = sorted(flags)
    span.counted = is_call(span)


def settle(spans: Sequence[Settled]) -> list[Settled]:
    """Settle these spans, which are all known spans of any number of whole traces; returns those that changed.

    Spans are changed in place. Repeating it changes nothing, and the order of the spans does not matter.
    """
    before = [_derived(span) for span in spans]
    traces: defaultdict[tuple[int, bytes], list[Settled]] = defaultdict(list)
    for span in spans:
        take_back(span)
        traces[span.project_id, span.trace_id].append(span)
    families = [_Family(members) for members in traces.values()]
    twins = _twins(spans)
    losers = _losers(twins, {id(span): family for family in families for span in family.spans} if twins else {})
    for family in families:
        family.count(losers)
    inherited = {id(span): values for family in families for span, values in family.inherited()}
    for group in twins:
        _share(group, inherited)
    for span in spans:
        _write(span, inherited[id(span)])
    return [span for span, old in zip(spans, before, strict=True) if _derived(span) != old]


def has_no_id(span: Settled) -> bool:
    """Whether it is a failed call without any id, of a provider whose library may report it a second time."""
    return (
        span.status == "error"
        and not span.response_id
        and not span.call_id
        and span.provider in PROVIDERS_OF_LIBRARIES
        and is_call(span)
    )


def entangled(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    """Those of a batch's spans that others of the batch could say something about; all others are settled as they are.

    Whole traces of several spans, and spans with an id that another span of the batch has too.
    """
    sizes = Counter((span.project_id, span.trace_id) for span in spans)
    ids = Counter(name for span in spans for name in {span.response_id, span.call_id} if name)
    shared = {
        (span.project_id, span.trace_id)
        for span in spans
        if ids[span.response_id] > 1 or ids[span.call_id] > 1 or has_no_id(span)
    }
    return [
        span
        for span in spans
        if sizes[span.project_id, span.trace_id] > 1 or (span.project_id, span.trace_id) in shared
    ]


class _Family:
    """The spans of one trace as a tree."""

    def __init__(self, spans: list[Settled]) -> None:
        self.spans = sorted(spans, key=_place)
        by_id: dict[bytes, Settled] = {}
        for span in self.spans:
            by_id.setdefault(span.span_id, span)
        self.children: defaultdict[int, list[Settled]] = defaultdict(list)
        tops: list[Settled] = []
        self.parent: dict[int, Settled] = {}
        for span in self.spans:
            parent = by_id.get(span.parent_span_id) if span.parent_span_id else None
            if parent is None or parent is span:
                tops.append(span)
            else:
                self.children[id(parent)].append(span)
                self.parent[id(span)] = parent
        # Parents before children. Spans whose parents form a ring are not reached and stand alone.
        self.order = tops
        for span in self.order:
            self.order.extend(self.children[id(span)])

    def count(self, losers: set[int]) -> None:
        """Say which spans are counted: calls that are neither told of elsewhere nor a wrapper of other calls."""
        below: dict[int, set[str]] = {}
        for span in reversed(self.order):
            inside: set[str] = set()
            for child in self.children[id(span)]:
                inside |= below[id(child)]
            span.counted = is_call(span) and span.kind not in inside
            if span.kind not in TRANSPARENT:
                inside = set()
            elif is_call(span):
                inside = inside | {span.kind}
            below[id(span)] = inside
        for span in self.spans:
            if id(span) in losers:
                span.counted = False

    def inherited(self) -> Iterable[tuple[Settled, Values]]:
        """What each span has: its own, its ancestors', or the root's."""
        root = NOTHING
        for span in self.order:
            if span.parent_span_id is None:
                root = _or(root, _own(span))
        known: dict[int, Values] = {}
        for span in self.order:
            parent = self.parent.get(id(span))
            above = known[id(parent)] if parent is not None else NOTHING
            known[id(span)] = _or(_own(span), above)
        for span in self.spans:
            yield span, _or(known.get(id(span)) or _own(span), root)

    def is_above(self, upper: Settled, lower: Settled) -> bool:
        """Whether `upper` is an ancestor of `lower`, which is a span of this trace."""
        span, steps = self.parent.get(id(lower)), 0
        while span is not None and steps <= len(self.spans):
            if span is upper:
                return True
            span, steps = self.parent.get(id(span)), steps + 1
        return False


def _place(span: Settled) -> tuple[datetime, bytes, datetime]:
    return span.client_started_at, span.span_id, span.started_at


def _own(span: Settled) -> Values:
    environment = "" if ASSUMED in span.flags else span.environment
    return span.user_id, span.session_id, span.feature, environment, span.prompt_name, span.prompt_version


def _or(first: Values, second: Values) -> Values:
    """The first's values, and the second's where the first has none. A prompt and its version go together."""
    user, session, feature, environment, prompt, version = first
    if not prompt and not version:
        prompt, version = second[4], second[5]
    return user or second[0], session or second[1], feature or second[2], environment or second[3], prompt, version


def _twins(spans: Sequence[Settled]) -> list[list[Settled]]:
    """Groups of two or more spans that report the same call."""
    by_key: defaultdict[tuple[int, str, str], list[Settled]] = defaultdict(list)
    for span in spans:
        if is_call(span):
            if span.response_id:
                by_key[span.project_id, "response", span.response_id].append(span)
            if span.call_id:
                by_key[span.project_id, "call", span.call_id].append(span)
    leader: dict[int, int] = {}
    members: dict[int, list[Settled]] = {}

    def group_of(span: Settled) -> int:
        found = leader.setdefault(id(span), id(span))
        members.setdefault(id(span), [span])
        return found

    for several in by_key.values():
        several.sort(key=lambda span: (_place(span), span.trace_id))
        for place, span in enumerate(several):
            for earlier in several[max(0, place - LOOK_BACK) : place]:
                one, other = group_of(earlier), group_of(span)
                if one != other and _same_call(earlier, span):
                    for member in members[other]:
                        leader[id(member)] = one
                    members[one] += members.pop(other)
    groups = [group for group in members.values() if len(group) > 1]
    return groups + _failed_twins(spans)


def _failed_twins(spans: Sequence[Settled]) -> list[list[Settled]]:
    """Pairs of a library's own span and another's of one call that failed before it had an id, matched by time."""
    silent = sorted(filter(has_no_id, spans), key=lambda span: (_place(span), span.trace_id))
    own = [span for span in silent if span.scope.startswith(OWN_SPANS_OF_LIBRARIES)]
    others = [span for span in silent if not span.scope.startswith(OWN_SPANS_OF_LIBRARIES)]
    pairs = []
    for inner in own:
        outer = next((span for span in others if _holds(span, inner)), None)
        if outer is not None:
            others.remove(outer)
            pairs.append([outer, inner])
    return pairs


def _holds(outer: Settled, inner: Settled) -> bool:
    """Whether the one call lies within the other's time and asks the same of the same."""
    return (
        (outer.project_id, outer.provider, outer.kind) == (inner.project_id, inner.provider, inner.kind)
        and (not outer.request_model or not inner.request_model or outer.request_model == inner.request_model)
        and outer.client_started_at - WITHIN <= inner.client_started_at
        and (inner.ended_at or inner.client_started_at) <= (outer.ended_at or outer.client_started_at) + WITHIN
    )


def _same_call(first: Settled, second: Settled) -> bool:
    """Whether two calls with the same id, of which the first starts first, are one: made by two, at one time."""
    if first.scope == second.scope or first.kind != second.kind:
        return False
    end = first.ended_at or first.client_started_at
    return second.client_started_at <= end + TOLERANCE


def _losers(twins: list[list[Settled]], family_of: dict[int, _Family]) -> set[int]:
    """The spans that are not counted because another report of the same call is."""
    found: set[int] = set()
    for group in twins:
        # A wrapper is not counted anyway, so it cannot stand for what it wraps.
        inner = [span for span in group if not any(family_of[id(other)].is_above(span, other) for other in group)]
        best = max(inner or group, key=_worth)
        found |= {id(span) for span in group if span is not best}
    return found


def _worth(span: Settled) -> tuple[bool, int, bool, str, bytes, bytes, datetime]:
    """Which report of a call to believe: the library's own, the one that says most; then any, but always the same."""
    usage = (
        span.input_tokens,
        span.output_tokens,
        span.cached_input_tokens,
        span.cache_write_tokens,
        span.reasoning_tokens,
    )
    return (
        span.scope.startswith(OWN_SPANS_OF_LIBRARIES),
        sum(number is not None for number in usage),
        span.ttft_ms is not None,
        span.scope,
        span.trace_id,
        span.span_id,
        span.started_at,
    )


def _share(group: list[Settled], inherited: dict[int, Values]) -> None:
    """Let every report of a call know what any of them does."""
    for span in sorted(group, key=lambda span: (_place(span), span.trace_id)):
        for other in sorted(group, key=lambda span: (_place(span), span.trace_id)):
            inherited[id(span)] = _or(inherited[id(span)], inherited[id(other)])


def _write(span: Settled, values: Values) -> None:
    """Put what the span has into it, flagged where it is not its own."""
    own = _own(span)
    if values == own:
        return
    flags = set(span.flags)
    user, session, feature, environment, prompt, version = values
    if user != own[0]:
        span.user_id = user
        flags.add("user_id_inherited")
    if session != own[1]:
        span.session_id = session
        flags.add("session_id_inherited")
    if feature != own[2]:
        span.feature = feature
        flags.add("feature_inherited")
    if environment != own[3]:
        span.environment = environment
        flags.discard(ASSUMED)
        flags.add("environment_inherited")
    # A prompt is what a model is asked with; other spans pass it on without having it.
    if (prompt, version) != own[4:] and span.kind == "llm":
        span.prompt_name, span.prompt_version = prompt, version
        flags.add("prompt_inherited")
    span.flags = sorted(flags)
