"""What a trace tells of its retrievals, tasks and tools: the rules, as tables of cases."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from apps.telemetry.trace_facts import (
    Content,
    FactSpan,
    RetrievalFact,
    TaskFact,
    TraceFacts,
    Tree,
    facts_of,
    loop_of,
    said,
    wanted,
)

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
DEFAULTS: dict[str, Any] = {
    "name": "", "status": "ok", "counted": False, "error_type": "", "finish_reason": "", "environment": "production",
    "feature": "", "service": "", "model": "", "prompt_name": "", "prompt_version": "", "tool_name": "",
    "agent_name": "", "input_tokens": None, "output_tokens": None, "cost_usd": None,
}  # fmt: skip


def span(
    number: int, kind: str, parent: int | None = None, *, at: int | None = None, ms: int | None = 10, **more: Any
) -> FactSpan:
    """A span that starts at so many milliseconds after noon (100 for each number unless told)."""
    start = NOON + timedelta(milliseconds=100 * number if at is None else at)
    return FactSpan(
        span_id=bytes([number]),
        parent_span_id=None if parent is None else bytes([parent]),
        started_at=start,
        client_started_at=start,
        ended_at=None if ms is None else start + timedelta(milliseconds=ms),
        kind=kind,
        latency_ms=ms,
        **{**DEFAULTS, "counted": kind == "llm", **more},
    )


def facts(*spans: FactSpan, **contents: Content) -> TraceFacts:
    """The facts of the trace; contents are by `s<number>`."""
    return facts_of(Tree(spans), {bytes([int(name[1:])]): each for name, each in contents.items()})


def documents(*ids: str, **more: Any) -> list[dict[str, Any]]:
    return [{"id": id_, "score": round(0.9 - place / 10, 2), **more} for place, id_ in enumerate(ids)]


def retrieval(*spans: FactSpan, **contents: Content) -> RetrievalFact:
    (found,) = facts(*spans, **contents).retrievals
    return found


def task(*spans: FactSpan, **contents: Content) -> TaskFact:
    (found,) = facts(*spans, **contents).tasks
    return found


# --- Retrievals ---------------------------------------------------------------------------------------------


def test_counts_chunks_and_their_scores() -> None:
    found = retrieval(span(1, "retriever", name="search"), s1=Content(documents=documents("a", "b", "c")))
    assert (found.chunks, found.top_score, found.mean_score, found.low_score) == (3, 0.9, pytest.approx(0.8), 0.7)
    assert (found.name, found.latency_ms, found.failed) == ("search", 10, False)


@pytest.mark.parametrize(
    ("content", "status", "chunks"),
    [
        pytest.param(Content(documents=[]), "ok", 0, id="an empty list says that nothing was found"),
        pytest.param(Content(), "ok", None, id="no list says nothing"),
        pytest.param(Content(documents=[]), "error", None, id="what failed did not look"),
        pytest.param(Content(attributes={"chunks_retrieved": 4}), "ok", 4, id="a number instead of the documents"),
        pytest.param(Content(attributes={"chunks_retrieved": "0"}), "ok", 0, id="a number as text"),
        pytest.param(Content(attributes={"chunks_retrieved": -1}), "ok", None, id="a number that makes no sense"),
    ],
)
def test_tells_empty_from_unknown(content: Content, status: str, chunks: int | None) -> None:
    assert retrieval(span(1, "retriever", status=status), s1=content).chunks == chunks


def test_takes_negative_scores_and_leaves_out_what_is_no_number() -> None:
    scores: list[Any] = [-0.25, "0.5", None, True, float("nan"), float("inf"), "high"]
    found = retrieval(span(1, "retriever"), s1=Content(documents=[{"score": each} for each in scores]))
    assert (found.chunks, found.top_score, found.low_score) == (7, 0.5, -0.25)


@pytest.mark.parametrize(
    ("attributes", "age"),
    [
        ({"index_age_s": 3600}, 3600),
        ({"index_age_s": "90.5"}, 90),
        ({"retrieval.index_updated_at": "2026-03-04T11:00:00Z"}, 3600),
        ({"index_updated_at": "2026-03-04T12:00:00+01:00"}, 3600),
        ({"index_updated_at": NOON.timestamp() - 60}, 60),
        ({"index_updated_at": (NOON.timestamp() - 60) * 1000}, 60),
        ({"index_updated_at": "2026-03-04T13:00:00Z"}, None),
        ({"index_updated_at": "last Monday"}, None),
        ({"index_age_s": -5}, None),
        ({}, None),
    ],
)
def test_reads_the_age_of_an_index_where_it_is_told(attributes: dict[str, Any], age: int | None) -> None:
    assert retrieval(span(1, "retriever", at=0), s1=Content(attributes=attributes)).index_age_s == age


def test_names_the_index_by_its_attribute_and_else_by_the_span() -> None:
    named = retrieval(span(1, "retriever", name="search"), s1=Content(attributes={"gen_ai.data_source.id": "help"}))
    assert named.name == "help"
    assert retrieval(span(1, "retriever", name="search"), s1=Content(attributes={"index_name": " "})).name == "search"


def test_has_model_and_prompt_from_the_call_that_it_was_for() -> None:
    call = span(2, "llm", model="atlas", prompt_name="answer", prompt_version="1.2.0")
    found = retrieval(span(1, "retriever"), call)
    assert (found.model, found.prompt_name, found.prompt_version) == ("atlas", "answer", "1.2.0")


# --- Reranking ----------------------------------------------------------------------------------------------


def test_measures_what_a_reranker_did_by_scores_before_and_after() -> None:
    after = [("d", 0.4, 0.99), ("a", 0.9, 0.7), ("b", 0.8, 0.6), ("c", 0.7, 0.1)]
    content = Content(documents=[{"id": id_, "score": score, "rerank_score": rank} for id_, score, rank in after])
    (found,) = facts(span(1, "reranker"), s1=content).retrievals
    assert found.reranked == 4
    assert found.score_before == pytest.approx(0.7)
    assert found.score_after == pytest.approx(0.5975)
    assert found.mean_shift == pytest.approx((3 + 1 + 1 + 1) / 4)
    assert found.changed_top3 == 1


def test_takes_the_places_before_from_the_retrieval_where_the_reranker_has_no_scores_of_it() -> None:
    first, second = facts(
        span(1, "chain"), span(2, "retriever", 1), span(3, "reranker", 1), span(4, "llm", 1),
        s2=Content(documents=documents("a", "b", "c", "d")),
        s3=Content(documents=[{"id": "c", "rerank_score": 0.9}, {"id": "a", "rerank_score": 0.5}]),
    ).retrievals  # fmt: skip
    assert (first.reranked, first.mean_shift) == (None, None)
    assert (second.reranked, second.mean_shift, second.changed_top3) == (2, pytest.approx(1.5), 0)
    assert second.score_before is None


def test_knows_no_shift_where_the_documents_have_no_identity() -> None:
    found = retrieval(span(1, "reranker"), s1=Content(documents=[{"score": 1, "rerank_score": 2}] * 2))
    assert (found.reranked, found.mean_shift, found.changed_top3) == (2, None, None)


# --- Utilisation --------------------------------------------------------------------------------------------

LONG = "Goods can be returned within sixty days of delivery if they were worn indoors only."


@pytest.mark.parametrize(
    ("sent", "answer", "expected"),
    [
        pytest.param(
            [{"id": "abc", "used": True}, {"id": "def", "used": False}, {"id": "ghi"}], "see abc",
            (0.5, "marked"), id="a mark beats all, of those that have one",
        ),
        pytest.param(documents(*"abcd"), "Yes [1], but [3, 4].", (0.75, "citation"), id="numbers in brackets"),
        pytest.param(documents("help/a", "help/b"), "As help/b says.", (0.5, "citation"), id="an id as a word"),
        pytest.param(documents("help/a", "x"), "See help/abc and x.", None, id="no part of a word, no id too short"),
        pytest.param(documents("17", "18"), "In 17 days [18].", None, id="a number is no id"),
        pytest.param(documents("a", content=LONG), f"Yes: {LONG.upper()}", (1.0, "overlap"), id="overlap in any case"),
        pytest.param(
            [{"content": LONG}, {"content": "Tents last longer with a groundsheet below them."}],
            "You may return goods: they can be returned within sixty days.", (0.5, "overlap"), id="a part is enough",
        ),
        pytest.param([{"content": LONG}], "They can be returned in sixty days of delivery.", (0.0, "overlap"),
                     id="less than five words in a row is chance"),
        pytest.param([{"content": "sixty days"}], "Within SIXTY, days!", (1.0, "overlap"), id="a short text, whole"),
        pytest.param([{"content": "返品は六十日以内です"}], "はい、返品は六十日以内。", (1.0, "overlap"),
                     id="words without spaces"),
        pytest.param(documents("abc", "def"), "Nothing of it.", None, id="neither cited nor with a text"),
        pytest.param(documents("abc", content=LONG), "", None, id="no answer"),
        pytest.param([], "[1]", None, id="nothing retrieved"),
    ],
)  # fmt: skip
def test_finds_what_was_used_by_the_best_method(
    sent: list[dict[str, Any]], answer: str, expected: tuple[float, str] | None
) -> None:
    found = retrieval(
        span(1, "chain"), span(2, "retriever", 1), span(3, "llm", 1),
        s2=Content(documents=sent), s3=Content(output=answer),
    )  # fmt: skip
    assert (found.utilisation, found.utilisation_method) == (expected or (None, ""))


def test_counts_numbers_in_the_order_that_the_model_saw() -> None:
    """After a reranker `[1]` is its first document, whatever the retrieval's order."""
    spans = (span(1, "chain"), span(2, "retriever", 1), span(3, "reranker", 1), span(4, "llm", 1))
    first, second = facts(
        *spans,
        s2=Content(documents=documents("a", "b", "c", "d")),
        s3=Content(documents=[{"id": "c", "rerank_score": 0.9}, {"id": "a", "rerank_score": 0.5}]),
        s4=Content(output="So it is [1]."),
    ).retrievals
    assert (first.utilisation, second.utilisation) == (0.25, 0.5)


def test_numbers_the_documents_of_several_retrievals_through() -> None:
    first, second = facts(
        span(1, "chain"), span(2, "retriever", 1), span(3, "retriever", 1), span(4, "llm", 1),
        s2=Content(documents=documents("a", "b")), s3=Content(documents=documents("c", "d")),
        s4=Content(output="So it is [3]."),
    ).retrievals  # fmt: skip
    assert first.utilisation_method == ""
    assert (second.utilisation, second.utilisation_method) == (0.5, "citation")


def test_compares_with_the_answer_of_its_own_turn() -> None:
    """A session in one trace: each turn's retrieval belongs to the answer of that turn."""
    spans = [span(1, "chain")]
    for turn in (10, 20):
        spans += [span(turn, "chain", 1), span(turn + 1, "retriever", turn), span(turn + 2, "llm", turn)]
    one, two = facts(
        *spans,
        s11=Content(documents=documents("a", "b")), s12=Content(output="[1] [2]"),
        s21=Content(documents=documents("a", "b")), s22=Content(output="[1]"),
    ).retrievals  # fmt: skip
    assert (one.utilisation, two.utilisation) == (1.0, 0.5)


def test_falls_back_to_the_output_of_what_is_around() -> None:
    spans = (span(1, "chain"), span(2, "retriever", 1), span(3, "llm", 1))
    assert bytes([1]) in {Tree(spans).spans[place].span_id for place in wanted(Tree(spans)).outputs}
    found = retrieval(*spans, s1=Content(output="[1]"), s2=Content(documents=documents("a", "b")))
    assert found.utilisation == 0.5


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("As it is.", "As it is."),
        ('[{"role": "assistant", "content": "one"}, {"parts": [{"type": "text", "content": "two"}]}]', "one\ntwo"),
        ('{"choices": [{"message": {"content": "three", "role": "assistant"}}]}', "three"),
        ("[not json", "[not json"),
        ('{"other": 1}', '{"other": 1}'),
        ("[" * 5000, "[" * 5000),
        ("", ""),
        (None, ""),
    ],
)
def test_reads_the_words_of_an_output(output: str | None, text: str) -> None:
    assert said(output) == text


# --- Tasks --------------------------------------------------------------------------------------------------


def test_counts_what_lies_below_the_outermost_agent() -> None:
    found = task(
        span(1, "chain"),
        span(2, "agent", 1, agent_name="desk", ms=2000),
        span(3, "llm", 2, cost_usd=Decimal("0.01"), input_tokens=100, output_tokens=10, model="atlas"),
        span(4, "tool", 2, tool_name="look_up"),
        span(5, "agent", 2, agent_name="billing"),
        span(6, "agent", 5, agent_name="billing"),
        span(7, "llm", 6, cost_usd=None, input_tokens=50),
        span(8, "llm", 5, counted=False, cost_usd=Decimal("9"), input_tokens=1000),
        span(9, "tool", 5, tool_name="refund"),
        span(10, "llm", 1, cost_usd=Decimal("5")),
    )
    assert (found.name, found.steps, found.model_calls, found.tool_runs) == ("desk", 4, 2, 2)
    assert (found.handoffs, found.depth, found.tools) == (1, 3, ["look_up", "refund"])
    assert (found.cost_usd, found.unpriced_calls) == (Decimal("0.01"), 1)
    assert (found.input_tokens, found.output_tokens, found.latency_ms) == (150, 10, 2000)
    assert found.outcome == "success"


def test_makes_a_task_of_each_branch() -> None:
    found = facts(span(1, "chain"), span(2, "agent", 1), span(3, "llm", 2), span(4, "agent", 1), span(5, "tool", 4))
    assert [(each.span_id, each.steps) for each in found.tasks] == [(bytes([2]), 1), (bytes([4]), 1)]


def test_follows_a_task_that_is_handed_over() -> None:
    """As the Agents SDK reports it: agents side by side, each beginning as the one before it ends."""
    run = (
        span(1, "chain"),
        span(2, "agent", 1, at=0, ms=50, agent_name="triage"),
        span(3, "llm", 2, at=5, ms=40),
        span(4, "agent", 1, at=51, ms=60, agent_name="refunds"),
        span(5, "llm", 4, at=55, ms=50),
        span(6, "agent", 1, at=112, ms=30, agent_name="billing", status="error", error_type="boom"),
    )
    found = task(*run)
    assert (found.name, found.steps, found.handoffs, found.latency_ms) == ("triage", 2, 2, 142)
    assert (found.outcome, found.error_type) == ("failure", "boom")


@pytest.mark.parametrize(
    "second",
    [
        {"agent_name": "triage"},
        {"at": 500},
        {"at": 0},
        {"parent": None},
    ],
)
def test_keeps_apart_agents_that_only_stand_side_by_side(second: dict[str, Any]) -> None:
    """The same agent again, one much later, one at the same time, one somewhere else."""
    more = {"parent": 1, "at": 200, "agent_name": "refunds", **second}
    found = facts(span(1, "chain"), span(2, "agent", 1, at=0, ms=200, agent_name="triage"), span(3, "agent", **more))
    assert len(found.tasks) == 2


@pytest.mark.parametrize(
    ("spans", "owners"),
    [
        pytest.param((span(1, "chain"), span(2, "llm", 1), span(3, "tool", 1)), [1], id="a root with both"),
        pytest.param((span(1, "chain"), span(2, "llm", 1)), [], id="no tool"),
        pytest.param((span(1, "chain"), span(3, "tool", 1)), [], id="no model"),
        pytest.param((span(1, "llm"), span(2, "tool", 1)), [1], id="a call around its tool"),
        pytest.param((span(1, "llm"), span(2, "tool"), span(3, "llm")), [1], id="a flat trace"),
        pytest.param(
            (span(1, "chain"), span(2, "tool", 1), span(3, "llm")), [], id="apart, and not flat: two things happened"
        ),
        pytest.param((span(1, "llm", 9), span(2, "tool", 9), span(3, "llm", 9)), [1], id="the parent never came"),
    ],
)
def test_finds_tasks_without_an_agent_span(spans: tuple[FactSpan, ...], owners: list[int]) -> None:
    assert [each.span_id[0] for each in facts(*spans).tasks] == owners


def test_measures_a_flat_trace_from_its_first_start_to_its_last_end() -> None:
    assert task(span(1, "llm", ms=50), span(2, "tool"), span(3, "llm", ms=70)).latency_ms == 270


@pytest.mark.parametrize(
    ("agent", "last", "outcome"),
    [
        ({}, {}, "success"),
        ({"ms": None}, {}, None),
        ({"status": "error", "error_type": "ValueError"}, {}, "failure"),
        ({"ms": None, "status": "error"}, {}, "failure"),
        ({}, {"status": "error", "error_type": "upstream_error"}, "failure"),
        ({"status": "error", "error_type": "TimeoutError"}, {}, "timeout"),
        ({"status": "error", "error_type": "openai.APITimeoutError"}, {}, "timeout"),
        ({"status": "error", "error_type": "DEADLINE_EXCEEDED"}, {}, "timeout"),
        ({"status": "error", "error_type": "asyncio.CancelledError"}, {}, "timeout"),
        ({"status": "error", "error_type": "timed out"}, {}, "timeout"),
        (
            {"status": "error", "error_type": "RuntimeError"},
            {"status": "error", "error_type": "ReadTimeout"},
            "timeout",
        ),
        ({"status": "error", "finish_reason": "cancelled"}, {}, "timeout"),
        ({"error_type": "Timeout"}, {}, "success"),
    ],
)
def test_judges_a_task_by_its_end_and_its_last_step(
    agent: dict[str, Any], last: dict[str, Any], outcome: str | None
) -> None:
    found = task(span(1, "agent", **agent), span(2, "tool", 1, status="error"), span(3, "llm", 1, **last))
    assert found.outcome == outcome


@pytest.mark.parametrize(
    ("calls", "loop"),
    [
        ("", ""),
        ("AA", ""),
        ("AAA", "repeated"),
        ("BAAA", "repeated"),
        ("ABAB", ""),
        ("ABABAB", "cycle"),
        ("XABCABCABCY", "cycle"),
        ("ABCDABCDABCD", ""),
        ("AABAACAA", "often"),
        ("ABACADA", ""),
        ("A?A?A", ""),
        ("????", None),
        ("A????", ""),
    ],
)
def test_flags_loops(calls: str, loop: str | None) -> None:
    """Letters are calls with arguments, `?` is one whose arguments are not known."""
    assert loop_of([("tool", None if each == "?" else each) for each in calls]) == loop


def test_tells_calls_apart_by_their_tool_too() -> None:
    assert loop_of([("look_up", "1"), ("track", "1"), ("look_up", "1"), ("track", "2")] * 1) == ""
    assert loop_of([("look_up", "1")] * 3) == "repeated"


def test_has_an_outcome_and_the_agent_of_each_tool_run() -> None:
    found = facts(
        span(1, "agent", agent_name="desk"),
        span(2, "tool", 1, tool_name="a"),
        span(3, "tool", 1, name="b", status="error", error_type="timeout"),
        span(4, "tool", tool_name="c", status="error"),
    ).tools
    assert [(each.name, each.agent_name, each.outcome) for each in found] == [
        ("a", "desk", "success"),
        ("b", "desk", "timeout"),
        ("c", "", "failure"),
    ]


# --- The tree -----------------------------------------------------------------------------------------------


def test_does_not_depend_on_the_order_of_arrival() -> None:
    spans = (span(1, "agent"), span(2, "retriever", 1), span(3, "tool", 1), span(4, "llm", 1))
    contents = {bytes([2]): Content(documents=documents("a", "b")), bytes([4]): Content(output="[2]")}
    found = [facts_of(Tree(order), contents) for order in permutations(spans)]
    assert len(found) == 24
    assert all(each == found[0] for each in found)


def test_survives_rings_and_spans_that_are_their_own_parent() -> None:
    found = facts(span(1, "agent", 2), span(2, "tool", 1), span(3, "agent", 3), span(4, "llm", 1))
    assert [(each.span_id[0], each.steps) for each in found.tasks] == [(1, 2), (3, 0)]


def test_takes_time_in_proportion_to_a_deep_chain_and_a_wide_tree() -> None:
    def big(number: int, kind: str, parent: int | None) -> FactSpan:
        start = NOON + timedelta(milliseconds=number)
        one = span(1, kind, name="x")
        one.span_id, one.parent_span_id = number.to_bytes(8), None if parent is None else parent.to_bytes(8)
        one.started_at = one.client_started_at = start
        return one

    def seconds(spans: list[FactSpan]) -> float:
        tree = Tree(spans)
        needs = wanted(tree)
        contents = {tree.spans[place].span_id: Content(documents=documents("a", "b")) for place in needs.documents}
        began = time.process_time()
        found = facts_of(tree, contents)
        assert len(found.retrievals) == len(needs.documents) > len(spans) // 4
        return time.process_time() - began

    def deep(size: int) -> list[FactSpan]:
        kinds = ("agent", "retriever")
        return [big(number, kinds[number % 2], number - 1 or None) for number in range(1, size + 1)]

    def wide(size: int) -> list[FactSpan]:
        kinds = ("retriever", "tool", "llm")
        return [big(1, "chain", None), *(big(number, kinds[number % 3], 1) for number in range(2, size + 1))]

    # Twenty times as many spans take some twenty times as long; squared it would be four hundred times.
    for shape in (deep, wide):
        small = min(seconds(shape(1_000)) for _ in range(3))
        assert seconds(shape(20_000)) < 100 * max(small, 0.001)
