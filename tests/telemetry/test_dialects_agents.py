"""Runs of the OpenAI Agents SDK, by its own export and through OpenInference; Anthropic's SDK and LlamaIndex."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.telemetry.dialects import agents_native, ids, read
from apps.telemetry.dialects.converting import EPOCH
from apps.telemetry.reading import Reading
from apps.telemetry.wire import Refused
from tests.telemetry.otlp_spans import START, make_otlp_span

TRACE = {
    "object": "trace",
    "id": "trace_4526286ae8404641b44a397e249f6972",
    "workflow_name": "support",
    "group_id": "sess-7",
    "metadata": {"user_id": "user-42", "prompt_name": "support-answer"},
}
USAGE = {
    "input_tokens": 173,
    "output_tokens": 211,
    "input_tokens_details": {"cached_tokens": 64},
    "output_tokens_details": {"reasoning_tokens": 192},
}


def span(kind: str, *, span_id: str = "span_6362cbcab9714f5a9ac568fb", parent: str | None = None, **said: Any) -> Any:
    return {
        "object": "trace.span",
        "id": span_id,
        "trace_id": TRACE["id"],
        "parent_id": parent,
        "started_at": "2026-11-23T14:21:01.027397+00:00",
        "ended_at": "2026-11-23T14:21:01.458526+00:00",
        "error": said.pop("error", None),
        "span_data": {"type": kind, **said},
    }


def read_all(*items: Any) -> list[Reading]:
    found = agents_native.read_body({"data": list(items)})
    assert all(isinstance(one, Reading) for one in found), found
    return [one for one in found if isinstance(one, Reading)]


def test_reads_a_response() -> None:
    found, *others = read_all(TRACE, span("response", response_id="resp_1", usage=USAGE))
    assert others == []
    assert (found.kind, found.status, found.scope, found.response_id) == ("llm", "ok", "openai-agents", "resp_1")
    assert (found.input_tokens, found.output_tokens) == (173, 211)
    assert (found.cached_input_tokens, found.reasoning_tokens) == (64, 192)
    assert found.trace_id.hex() == "4526286ae8404641b44a397e249f6972"
    assert (found.user_id, found.session_id, found.feature) == ("user-42", "sess-7", "support")
    assert found.prompt_name == "support-answer"


def test_what_a_run_repeats_is_not_its_own() -> None:
    turn = {"sdk_span_type": "turn", "agent_name": "support", "usage": USAGE}
    found = read_all(span("custom", name="turn", data=turn))[0]
    assert (found.kind, found.name, found.input_tokens) == ("chain", "turn", None)
    assert found.attributes["data"]["usage"] == USAGE


def test_reads_a_chat_completion() -> None:
    said = {"model": "gpt-4o-mini", "input": [{"role": "user"}], "output": [{"role": "assistant"}], "usage": USAGE}
    found = read_all(span("generation", **said))[0]
    assert (found.kind, found.request_model) == ("llm", "gpt-4o-mini")
    assert (found.input, found.output) == ([{"role": "user"}], [{"role": "assistant"}])


def test_a_streamed_chat_completion_has_its_real_id() -> None:
    message = {"role": "assistant", "provider_data": {"response_id": "chatcmpl-1"}}
    output = [{"object": "response", "id": "__fake_id__", "output": [message]}]
    zeros = {"input_tokens": 0, "output_tokens": 0}
    found = read_all(span("generation", model="gpt-4o-mini", output=output, usage=zeros))[0]
    assert (found.response_id, found.output, found.input_tokens) == ("chatcmpl-1", [message], None)


@pytest.mark.parametrize(("said", "kind"), [("function", "tool"), ("agent", "agent"), ("guardrail", "chain")])
def test_knows_the_kind_and_name_of_a_step(said: str, kind: str) -> None:
    found = read_all(span(said, name="get_weather", input='{"city": "Paris"}', output="18"))[0]
    assert (found.kind, found.input, found.output) == (kind, {"city": "Paris"}, "18")
    assert found.tool_name == ("get_weather" if kind == "tool" else None)
    assert found.agent_name == ("get_weather" if kind == "agent" else None)


def test_a_handoff_is_no_tool_run() -> None:
    found = read_all(span("handoff", from_agent="triage", to_agent="refunds"))[0]
    assert (found.kind, found.name) == ("chain", "handoff to refunds")


def test_an_error_says_what_went_wrong() -> None:
    error = {"message": "Error getting response", "data": {"error": "RateLimitError: slow down"}}
    found = read_all(span("response", response_id=None, usage=None, error=error))[0]
    assert (found.status, found.error_type) == ("error", "RateLimitError")
    assert found.error_message == "Error getting response: RateLimitError: slow down"


def test_a_trace_without_its_outermost_span_is_a_span_that_others_have_it_from() -> None:
    alone = read_all(TRACE)[0]
    assert (alone.kind, alone.started_at, alone.parent_span_id) == ("chain", EPOCH, None)
    assert (alone.user_id, alone.session_id, alone.feature) == ("user-42", "sess-7", "support")
    child = span("response", parent="span_f701229418f64e1a9dad8213", usage=USAGE)
    with_child, found = read_all(TRACE, child)
    assert (with_child.span_id, with_child.started_at) == (alone.span_id, found.started_at)
    assert found.user_id == "user-42"
    assert read_all(child)[0].user_id is None


def test_an_item_that_cannot_be_read_spoils_no_other() -> None:
    found = agents_native.read_body(
        {"data": [TRACE, "x", span("agent") | {"id": None}, span("agent") | {"started_at": "soon"}, span("agent")]}
    )
    assert [one.code if isinstance(one, Refused) else "ok" for one in found] == [
        "not_a_span",
        "missing_id",
        "invalid_started_at",
        "ok",
    ]
    assert [type(one) for one in agents_native.read_body({"data": 1})] == [Refused]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["usage", "object", "data"]), inner),
    max_leaves=5,
)
SPAN_FIELDS = ["id", "trace_id", "parent_id", "started_at", "ended_at", "span_data", "error"]


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(list(TRACE)), ANYTHING), st.dictionaries(st.sampled_from(SPAN_FIELDS), ANYTHING),
    st.dictionaries(st.sampled_from(["input", "output", "usage", "model", "response_id"]), ANYTHING),
)  # fmt: skip
def test_whatever_a_span_says_something_comes_of_it(
    trace: dict[str, Any], changes: dict[str, Any], said: dict[str, Any]
) -> None:
    whole = span("generation", **said) | changes
    found = agents_native.read_body({"data": [TRACE | trace, whole, span("agent")]})
    assert 2 <= len(found) <= 3
    assert all(isinstance(one, Reading | Refused) for one in found)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("trace_4526286ae8404641b44a397e249f6972", "4526286ae8404641b44a397e249f6972"),
        ("tr-c6d0e7087d62fdb37c217d2f795677c5", "c6d0e7087d62fdb37c217d2f795677c5"),
        ("01A208BB-ca99-764c-b9b0-bbd8d3e71518", "01a208bbca99764cb9b0bbd8d3e71518"),
    ],
)
def test_ids_that_hold_sixteen_bytes_keep_them(said: str, wanted: str) -> None:
    assert ids.trace_id(said).hex() == wanted
    assert ids.is_trace_id(said)


def test_other_ids_become_the_same_bytes_every_time() -> None:
    for said in ("sess-7", "", "0" * 32, "00000000-0000-0000-0000-000000000000"):
        assert len(ids.trace_id(said)) == 16
        assert any(ids.trace_id(said))
        assert ids.trace_id(said) == ids.trace_id(said)
        assert not ids.is_trace_id(said)
    assert ids.span_id("span_6362cbcab9714f5a9ac568fb") != ids.span_id("span_f701229418f64e1a9dad8213")
    assert ids.span_id("00f067aa0ba902b7").hex() == "00f067aa0ba902b7"


def through_openinference(kind: str, *, name: str = "generation", parent: bytes | None = b"p" * 8, **said: Any) -> Any:
    attributes = {"openinference.span.kind": kind, **{key.replace("__", "."): one for key, one in said.items()}}
    scope = "openinference.instrumentation.openai_agents"
    return read(make_otlp_span(attributes, name=name, parent_span_id=parent, scope=scope))


def test_openinference_marks_the_trace_of_a_run_as_an_agent() -> None:
    assert through_openinference("AGENT", name="support", parent=None).kind == "chain"
    agent = through_openinference("AGENT", name="assistant", agent__name="assistant")
    assert (agent.kind, agent.agent_name) == ("agent", "assistant")


def test_openinference_marks_a_handoff_as_a_tool() -> None:
    assert through_openinference("TOOL", name="handoff to refunds").kind == "chain"
    assert through_openinference("TOOL", name="get_weather").kind == "tool"


def test_a_streamed_model_span_of_the_agents_sdk_is_a_call_whatever_it_says() -> None:
    assert through_openinference("LLM", llm__model_name="gpt-4o-mini").kind == "llm"


def test_a_retrieval_of_llama_index_is_one_though_it_has_two_spans() -> None:
    scope = "openinference.instrumentation.llama_index"
    inner = {"openinference.span.kind": "RETRIEVER", "output.value": "[]"}
    outer = {**inner, "retrieval.documents.0.document.content": "Paris"}
    assert read(make_otlp_span(inner, name="VectorIndexRetriever._retrieve", scope=scope)).kind == "chain"
    assert read(make_otlp_span(outer, name="VectorIndexRetriever.retrieve", scope=scope)).kind == "retriever"


def anthropic(scope: str, *, after_ms: int = 0, status_code: int = 2, **changes: Any) -> Reading:
    said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-sonnet-4-5", **changes}
    start = START + after_ms * 1_000_000
    return read(make_otlp_span(said, scope=scope, status_code=status_code, start_ns=start, end_ns=start + 30_000_000))


def test_a_failed_call_of_anthropics_sdk_says_in_both_reports_what_they_are_matched_by() -> None:
    for scope in ("com.anthropic.sdk.python", "opentelemetry.instrumentation.anthropic"):
        failed = anthropic(scope, **{"gen_ai.system": "Anthropic"})
        assert (failed.scope, failed.provider, failed.request_model) == (scope, "anthropic", "claude-sonnet-4-5")
        assert (failed.status, failed.response_id, failed.call_id) == ("error", None, None)


def test_anthropics_sdk_says_why_an_answer_ended() -> None:
    found = anthropic("com.anthropic.sdk.python", status_code=0, **{"anthropic.message.stop_reason": "tool_use"})
    assert found.finish_reason == "tool_calls"
