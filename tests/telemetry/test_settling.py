"""A call is counted once, and has what the spans above it say, in whatever order they arrive."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.projects.models import Project
from apps.telemetry.services import settling as settling_service
from apps.telemetry.services import storing
from apps.telemetry.services.rollups import roll_up
from apps.telemetry.services.settling import SECOND_LOOK, forget_marks, settle_due, settle_traces
from apps.telemetry.settling import settle
from apps.telemetry.types import REPEATS, Batch, SpanRecord
from tests.factories import NOW
from tests.telemetry.conftest import rows

TRACE, OTHER_TRACE = b"t" * 16, b"o" * 16


def span(name: str, parent: str | None = None, *, at: int = 0, lasts: int = 1_000, **changes: Any) -> SpanRecord:
    """A span of the trace, `at` milliseconds after its start; its id is its name."""
    start = NOW - timedelta(hours=1) + timedelta(milliseconds=at)
    values: dict[str, Any] = {
        "project_id": 1,
        "trace_id": TRACE,
        "span_id": name.encode().ljust(8, b"."),
        "parent_span_id": None if parent is None else parent.encode().ljust(8, b"."),
        "client_started_at": start,
        "started_at": start,
        "ended_at": start + timedelta(milliseconds=lasts),
        "latency_ms": lasts,
        "received_at": NOW,
        "kind": "llm",
        "name": name,
        "status": "ok",
        "counted": changes.get("kind", "llm") in {"llm", "embedding"},
        "digest": name.encode().ljust(16, b"."),
        "flags": ["environment_assumed"],
    }
    return SpanRecord(**values | changes, model=changes.get("request_model", ""))


def counted(spans: Iterable[SpanRecord]) -> set[str]:
    return {each.name for each in spans if each.counted}


def settled(*spans: SpanRecord) -> dict[str, SpanRecord]:
    settle(spans)
    return {each.name: each for each in spans}


def test_counts_the_innermost_of_nested_model_spans() -> None:
    spans = [span("outer"), span("chain", "outer", kind="chain"), span("inner", "chain"), span("second", "outer")]
    settle(spans)
    assert counted(spans) == {"inner", "second"}


def test_counts_a_call_that_a_tool_or_an_agent_makes_within_a_call() -> None:
    for kind in ("tool", "agent", "retriever", "reranker"):
        spans = [span("outer"), span("between", "outer", kind=kind), span("inner", "between")]
        settle(spans)
        assert counted(spans) == {"outer", "inner"}


def test_does_not_take_an_embedding_for_a_wrapped_model_call() -> None:
    spans = [span("outer"), span("inner", "outer", kind="embedding"), span("double", "inner", kind="embedding")]
    settle(spans)
    assert counted(spans) == {"outer", "double"}


def test_counts_one_of_two_reports_of_a_call() -> None:
    said: dict[str, Any] = {"response_id": "chatcmpl-1"}
    mine = span("mine", scope="opentelemetry.instrumentation.anthropic", user_id="user-42", output_tokens=28, **said)
    own = span("own", trace_id=OTHER_TRACE, at=5, scope="com.anthropic.sdk.python", output_tokens=27, **said)
    found = settled(mine, own)
    assert counted(found.values()) == {"own"}
    assert (found["own"].user_id, found["own"].flags) == ("user-42", ["environment_assumed", "user_id_inherited"])


def test_counts_one_of_two_reports_of_a_call_that_failed_before_it_had_an_id() -> None:
    failed: dict[str, Any] = {"status": "error", "provider": "anthropic", "request_model": "claude-sonnet-5"}
    first = span("first", scope="opentelemetry.instrumentation.anthropic", lasts=500, **failed)
    second = span("second", scope="opentelemetry.instrumentation.anthropic", at=5_000, lasts=500, **failed)
    own = span("own", at=20, lasts=450, scope="com.anthropic.sdk.python", trace_id=OTHER_TRACE, **failed)
    spans = [own, second, first]
    settle(spans)
    assert counted(spans) == {"own", "second"}


def test_counts_both_when_one_client_repeats_an_id_or_the_calls_lie_apart() -> None:
    twice = [span("a", scope="one", response_id="same"), span("b", scope="one", response_id="same")]
    settle(twice)
    assert counted(twice) == {"a", "b"}
    apart = [span("a", scope="one", response_id="same"), span("b", scope="two", response_id="same", at=60_000)]
    settle(apart)
    assert counted(apart) == {"a", "b"}


def test_counts_one_where_a_wrapper_and_what_it_wraps_have_the_same_id() -> None:
    spans = [
        span("outer", scope="z", response_id="r", input_tokens=1, output_tokens=1),
        span("inner", "outer", scope="a", response_id="r"),
        span("elsewhere", scope="b", response_id="r", trace_id=OTHER_TRACE),
    ]
    settle(spans)
    assert len(counted(spans)) == 1
    assert "outer" not in counted(spans)


def test_never_counts_a_span_that_repeats_usage() -> None:
    spans = [span("request", flags=[REPEATS]), span("response")]
    settle(spans)
    assert counted(spans) == {"response"}


def test_inherits_from_the_nearest_that_says_it() -> None:
    found = settled(
        span("root", kind="chain", user_id="u", session_id="s", feature="f", environment="staging", flags=[]),
        span("middle", "root", kind="chain", user_id="other", prompt_name="p", prompt_version="3"),
        span("leaf", "middle"),
        span("tool", "middle", kind="tool"),
        span("orphan", "gone"),
    )
    leaf, orphan = found["leaf"], found["orphan"]
    assert (leaf.user_id, leaf.session_id, leaf.feature, leaf.environment) == ("other", "s", "f", "staging")
    assert (leaf.prompt_name, leaf.prompt_version) == ("p", "3")
    assert found["tool"].prompt_name == ""
    assert (orphan.user_id, orphan.prompt_name) == ("u", "")
    assert leaf.flags == [
        "environment_inherited",
        "feature_inherited",
        "prompt_inherited",
        "session_id_inherited",
        "user_id_inherited",
    ]


def test_lives_with_spans_whose_parents_form_a_ring() -> None:
    spans = [span("a", "b"), span("b", "a"), span("self", "self"), span("root", kind="chain", user_id="u")]
    settle(spans)
    assert counted(spans) == {"a", "b", "self"}
    assert {each.user_id for each in spans} == {"u"}


def test_is_quick_with_a_chain_of_twenty_thousand_spans() -> None:
    spans = [span(f"{number}", f"{number - 1}" if number else None, kind="chain") for number in range(20_000)]
    spans[0].user_id = "u"
    assert len(settle(spans)) == len(spans) - 1


@st.composite
def traces(draw: st.DrawFn) -> list[SpanRecord]:
    """Spans of two traces: trees, orphans, rings, wrappers and reports of the same call."""
    names = [f"s{number}" for number in range(draw(st.integers(2, 9)))]
    word = st.sampled_from(["", "", "x", "y"])
    spans = []
    for place, name in enumerate(names):
        kind = draw(st.sampled_from(["llm", "llm", "embedding", "chain", "tool", "agent"]))
        environment = draw(st.sampled_from(["", "staging"]))
        spans.append(
            span(
                name,
                draw(st.sampled_from([None, "gone", *names])),
                at=place * draw(st.sampled_from([0, 100, 3_000])),
                kind=kind,
                trace_id=draw(st.sampled_from([TRACE, TRACE, OTHER_TRACE])),
                scope=draw(st.sampled_from(["one", "two", "com.anthropic.sdk.python"])),
                response_id=draw(word),
                call_id=draw(word),
                user_id=draw(word),
                session_id=draw(word),
                feature=draw(word),
                prompt_name=draw(word),
                prompt_version=draw(st.sampled_from(["", "1"])),
                environment=environment or "production",
                flags=[] if environment else ["environment_assumed"],
                input_tokens=draw(st.sampled_from([None, 100])),
                request_model="gpt-4o",
                provider="openai",
            )
        )
    return spans


def copies(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    return [msgspec.structs.replace(each, flags=list(each.flags)) for each in spans]


def by_id(spans: Iterable[SpanRecord]) -> dict[bytes, SpanRecord]:
    return {each.span_id: each for each in spans}


@given(traces(), st.randoms())
def test_ends_the_same_in_any_order_and_after_any_number_of_times(
    spans: list[SpanRecord], chance: random.Random
) -> None:
    reference = copies(spans)
    settle(reference)
    shuffled = copies(spans)
    chance.shuffle(shuffled)
    for length in range(1, len(shuffled) + 1):
        settle(shuffled[:length])
    assert by_id(shuffled) == by_id(reference)
    assert settle(shuffled) == []


# --- In the database ------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    storing._repeating._until.clear()
    yield
    storing._repeating._until.clear()


def batch(project: Project, spans: Sequence[SpanRecord]) -> Batch:
    own = [msgspec.structs.replace(each, project_id=project.pk, flags=list(each.flags)) for each in spans]
    return Batch(project.pk, None, "test", NOW, len(own), own, list(range(len(own))), [])


COST_RECORDS = """
SELECT hour, environment, feature, provider, model, prompt_version, calls, errors, unpriced_calls, input_tokens,
  output_tokens, cost_usd, latency_histogram FROM telemetry_costhour ORDER BY 1, 2, 3, 4, 5, 6
"""
SPANS = """
SELECT span_id, counted, user_id, session_id, feature, environment, prompt_name, prompt_version, flags, cost_usd,
  output_tokens, status FROM telemetry_span ORDER BY trace_id, span_id, started_at
"""
EMPTY = """
TRUNCATE telemetry_span, telemetry_payload, telemetry_opentrace, telemetry_fresh, telemetry_dirtyhour,
  telemetry_costhour, telemetry_costhourslice, telemetry_costday, telemetry_costdayslice, telemetry_intakebatch
"""


def story() -> list[SpanRecord]:
    """One request: a root that knows the user, an agent, wrapped calls, a tool that asks a model, and one call that a
    library reports in a trace of its own."""
    usage: dict[str, Any] = {"provider": "openai", "request_model": "gpt-4o", "input_tokens": 100, "output_tokens": 9}
    return [
        span("root", kind="chain", user_id="user-42", session_id="sess-7", feature="support", lasts=9_000),
        span("agent", "root", kind="agent", at=10, prompt_name="answer", prompt_version="3"),
        span("wrapper", "agent", at=20, **usage),
        span("call", "wrapper", at=30, scope="one", response_id="r1", **usage),
        span("tool", "agent", kind="tool", at=1_500),
        span("asked", "tool", at=1_600, scope="one", response_id="r2", **usage | {"output_tokens": 50}),
        span("twin", at=1_650, scope="two", response_id="r2", trace_id=OTHER_TRACE, **usage | {"output_tokens": 51}),
        span("embed", "agent", at=3_000, kind="embedding", **usage),
        span("embed2", "embed", at=3_001, kind="embedding", **usage),
        span("failed", "agent", at=4_000, status="error", error_type="RateLimitError", request_model="gpt-4o"),
        span("claude", at=5_000, status="error", provider="anthropic", scope="one"),
        span(
            "library",
            at=5_010,
            lasts=900,
            status="error",
            provider="anthropic",
            scope="com.anthropic.sdk.python",
            trace_id=b"l" * 16,
        ),
    ]


def told(spans: Sequence[SpanRecord], project: Project, cuts: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """What is left when the spans arrive in batches cut at these places."""
    rows_of_nothing(project)
    edges = [0, *sorted(cuts), len(spans)]
    for first, last in zip(edges, edges[1:], strict=False):
        if first < last:
            storing.store([batch(project, spans[first:last])])
            # In the middle of it all, costs are written too.
            roll_up()
    roll_up()
    return rows(SPANS), rows(COST_RECORDS)


def rows_of_nothing(project: Project) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(EMPTY)
    storing._repeating._until.clear()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("span_tables")
def test_any_order_repetition_and_split_ends_in_the_same_trace_and_cost_records(project: Project) -> None:
    spans = story()
    reference = told(spans, project, [])
    by_name = {row[0].rstrip(b".").decode(): row for row in reference[0]}
    assert {name for name, row in by_name.items() if row[1]} == {"call", "twin", "embed2", "failed", "library"}
    assert by_name["call"][2:8] == ("user-42", "sess-7", "support", "production", "answer", "3")
    assert by_name["twin"][2:5] == ("user-42", "sess-7", "support")
    assert sum(row[6] for row in reference[1]) == 5

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(
        st.permutations(spans),
        st.lists(st.sampled_from(spans), max_size=4),
        st.lists(st.integers(0, len(spans)), max_size=6),
    )
    def check(order: list[SpanRecord], again: list[SpanRecord], cuts: list[int]) -> None:
        assert told([*order, *again], project, [*cuts, len(order)]) == reference

    check()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("span_tables")
def test_an_update_of_the_root_reaches_the_calls_below(project: Project) -> None:
    root = span("root", kind="chain")
    storing.store([batch(project, [root, span("call", "root", request_model="gpt-4o")])])
    named = msgspec.structs.replace(root, user_id="user-42", digest=b"2" * 16)
    assert storing.store([batch(project, [named])])[0].updated == 1
    assert rows("SELECT span_id, user_id FROM telemetry_span ORDER BY span_id") == [
        (b"call....", "user-42"),
        (b"root....", "user-42"),
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("span_tables")
def test_a_repeated_report_of_a_settled_span_is_a_duplicate(project: Project) -> None:
    spans = story()
    storing.store([batch(project, spans[1:])])
    storing.store([batch(project, spans[:1])])
    before = rows(SPANS)
    # The same content with another digest, as another exporter would write it.
    again = [msgspec.structs.replace(each, digest=b"x" * 16) for each in spans]
    outcome = storing.store([batch(project, again)])[0]
    assert (outcome.stored, outcome.updated, outcome.duplicates) == (0, 0, len(spans))
    assert rows(SPANS) == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("span_tables")
def test_settles_later_what_a_dead_process_left(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "settle_stored", lambda spans, marked: None)
    spans = story()
    storing.store([batch(project, spans[3:])])
    storing.store([batch(project, spans[:3])])
    assert (b"call....", "") in rows("SELECT span_id, user_id FROM telemetry_span")
    assert settle_due(now=_marked_at()) == 0, "a mark that was just made is left to whoever made it"
    assert settle_due(now=_marked_at() + SECOND_LOOK) == 1
    assert rows("SELECT user_id FROM telemetry_span WHERE span_id = %s", b"call....") == [("user-42",)]
    assert settle_due(now=_marked_at() + SECOND_LOOK) == 2, "the traces that tell of the same calls"
    assert settle_due(now=_marked_at() + SECOND_LOOK) == 0
    assert forget_marks(now=_marked_at() + timedelta(days=1)) == 0
    assert forget_marks(now=_marked_at() + timedelta(days=3)) == 3


def _marked_at() -> datetime:
    (latest,) = rows("SELECT max(marked_at) FROM telemetry_opentrace")[0]
    assert isinstance(latest, datetime)
    return latest


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("span_tables")
def test_leaves_a_long_trace_that_grows_to_the_schedule(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling_service, "MOST_SPANS_AT_ONCE", 3)
    root, *others = story()
    storing.store([batch(project, [each for each in others if each.trace_id == TRACE])])
    storing.store([batch(project, [root])])
    assert rows("SELECT user_id FROM telemetry_span WHERE span_id = %s", b"call....") == [("",)]
    assert settle_due(now=_marked_at()) == 1, "at its next turn, however new the mark is"
    assert rows("SELECT user_id FROM telemetry_span WHERE span_id = %s", b"call....") == [("user-42",)]
    assert settle_due(now=_marked_at()) == 0
    assert settle_due(now=_marked_at() + SECOND_LOOK) == 1, "and once more a minute later"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("span_tables")
def test_settling_again_changes_nothing(project: Project) -> None:
    spans = story()
    storing.store([batch(project, spans)])
    before = rows(SPANS)
    assert settle_traces({(project.pk, TRACE): spans[0].started_at}) == 0
    assert rows(SPANS) == before
