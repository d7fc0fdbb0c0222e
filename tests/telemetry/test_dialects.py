"""What the reader of dialects makes of spans: OpenTelemetry's own names, OpenInference, OpenLLMetry, Vercel, plain."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.telemetry import conversation, wire
from apps.telemetry.dialects import DIALECTS, LogReading, converting, read, read_log
from apps.telemetry.reading import Reading, ScoreReading
from apps.telemetry.types import KINDS
from tests.telemetry.otlp_spans import START, make_event, make_log, make_otlp_span

RECEIVED = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}


def read_span(attributes: dict[str, Any], **changes: Any) -> Reading:
    return read(make_otlp_span(attributes, **changes))


@pytest.mark.parametrize(
    ("attribute", "value", "kind"),
    [
        ("gen_ai.operation.name", "chat", "llm"),
        ("gen_ai.operation.name", "text_completion", "llm"),
        ("gen_ai.operation.name", "generate_content", "llm"),
        ("gen_ai.operation.name", "embeddings", "embedding"),
        ("gen_ai.operation.name", "retrieval", "retriever"),
        ("gen_ai.operation.name", "execute_tool", "tool"),
        ("gen_ai.operation.name", "invoke_agent", "agent"),
        ("gen_ai.operation.name", "create_agent", "agent"),
        ("gen_ai.operation.name", "invoke_workflow", "chain"),
        ("gen_ai.operation.name", "agent_step", "chain"),
        ("gen_ai.operation.name", "something new", "chain"),
        ("llm.request.type", "chat", "llm"),
        ("llm.request.type", "embedding", "embedding"),
        ("traceloop.span.kind", "workflow", "chain"),
        ("traceloop.span.kind", "task", "chain"),
        ("traceloop.span.kind", "agent", "agent"),
        ("traceloop.span.kind", "tool", "tool"),
        ("openinference.span.kind", "EMBEDDING", "embedding"),
        ("openinference.span.kind", "RETRIEVER", "retriever"),
        ("openinference.span.kind", "RERANKER", "reranker"),
        ("openinference.span.kind", "TOOL", "tool"),
        ("openinference.span.kind", "AGENT", "agent"),
        ("openinference.span.kind", "PROMPT", "chain"),
        ("openinference.span.kind", "GUARDRAIL", "chain"),
        ("ai.operationId", "ai.generateText.doGenerate", "llm"),
        ("ai.operationId", "ai.streamObject.doStream", "llm"),
        ("ai.operationId", "ai.embedMany.doEmbed", "embedding"),
        ("ai.operationId", "ai.toolCall", "tool"),
        ("ai.operationId", "ai.generateText", "chain"),
        ("ai.operationId", "ai.embed", "chain"),
        ("http.request.method", "POST", "chain"),
    ],
)
def test_knows_the_kind_of_a_span(attribute: str, value: str, kind: str) -> None:
    assert read_span({attribute: value}).kind == kind


def test_asks_for_the_kind_in_a_fixed_order() -> None:
    words = {
        "llm.request.type": "chat",
        "gen_ai.operation.name": "embeddings",
        "ai.operationId": "ai.toolCall",
        "traceloop.span.kind": "agent",
        "openinference.span.kind": "RETRIEVER",
    }
    found = []
    for _ in range(len(words)):
        found.append(read_span(dict(words)).kind)
        words.popitem()
    assert found == ["retriever", "agent", "tool", "embedding", "llm"]


def test_openinference_preparations_are_no_calls() -> None:
    said = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"}
    assert read_span(said).kind == "chain"
    assert read_span({**said, "llm.token_count.prompt": 3}).kind == "llm"
    assert read_span({**said, "llm.output_messages.0.message.role": "assistant"}).kind == "llm"
    assert read_span(said, status_code=2).kind == "llm"


def test_reads_a_call_in_current_names() -> None:
    reading = read_span(
        {
            **CHAT,
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.usage.input_tokens": 1373,
            "gen_ai.usage.output_tokens": 19,
            "gen_ai.usage.cache_read.input_tokens": 1000,
            "gen_ai.usage.cache_creation.input_tokens": 200,
            "gen_ai.usage.reasoning.output_tokens": 5,
            "gen_ai.request.stream": True,
            "gen_ai.response.time_to_first_chunk": 0.25,
            "gen_ai.response.finish_reasons": ["tool_call"],
            "gen_ai.request.temperature": 0,
        }
    )
    assert (reading.kind, reading.provider, reading.request_model) == ("llm", "openai", "gpt-4o-mini")
    assert (reading.response_model, reading.response_id) == ("gpt-4o-mini-2024-07-18", "chatcmpl-1")
    assert (reading.input_tokens, reading.output_tokens, reading.reasoning_tokens) == (1373, 19, 5)
    assert (reading.cached_input_tokens, reading.cache_write_tokens) == (1000, 200)
    assert (reading.streamed, reading.ttft_ms, reading.status) == (True, 250, "ok")
    assert reading.finish_reason == "tool_calls"
    assert reading.attributes["gen_ai.response.finish_reasons"] == ["tool_call"]
    assert reading.attributes["gen_ai.request.temperature"] == 0
    assert reading.started_at == datetime(2026, 11, 23, 8, 12, 36, tzinfo=UTC)
    assert reading.ended_at == reading.started_at + timedelta(seconds=1)
    assert reading.scope == "shop.app"


def test_current_names_win_over_others_and_those_are_kept() -> None:
    reading = read_span(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.usage.inputTokens": 7,
            "gen_ai.usage.prompt_tokens": 8,
            "llm.token_count.prompt": 9,
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 1,
        }
    )
    assert reading.input_tokens == 10
    assert reading.attributes["ai.usage.inputTokens"] == 7
    assert reading.attributes["llm.token_count.prompt"] == 9
    turned = read_span({"llm.request.type": "chat", "gen_ai.usage.prompt_tokens": 8, "llm.token_count.prompt": 9})
    assert turned.input_tokens == 9


@pytest.mark.parametrize("kind", ["invoke_agent", "agent_step"])
def test_a_wrapper_has_no_usage_of_its_own(kind: str) -> None:
    reading = read_span(
        {"gen_ai.operation.name": kind, "gen_ai.usage.input_tokens": 325, "gen_ai.usage.output_tokens": 34}
    )
    assert (reading.input_tokens, reading.output_tokens) == (None, None)
    assert reading.attributes["gen_ai.usage.input_tokens"] == 325


def test_zeros_for_both_mean_that_nobody_counted() -> None:
    reading = read_span(
        {**CHAT, "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0, "llm.cost.total": 0.0}
    )
    assert (reading.input_tokens, reading.output_tokens, reading.cost_usd) == (None, None, None)
    assert reading.attributes["gen_ai.usage.input_tokens"] == 0
    local = read_span({**CHAT, "gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 0, "llm.cost.total": 0.0})
    assert (local.input_tokens, local.output_tokens, local.cost_usd) == (12, 0, Decimal(0))


@pytest.mark.parametrize(
    ("said", "provider"),
    [
        ("openai", "openai"),
        ("OpenAI", "openai"),
        ("openai.chat", "openai"),
        ("openai.responses", "openai"),
        ("az.ai.openai", "azure"),
        ("azure.ai.openai", "azure"),
        ("aws.bedrock", "bedrock"),
        ("anthropic.messages", "anthropic"),
        ("google.vertex.chat", "vertex_ai"),
        ("x_ai", "xai"),
        ("stubdb", "stubdb"),
    ],
)
def test_names_providers_as_prices_are_listed(said: str, provider: str) -> None:
    assert read_span({"gen_ai.system": said}).provider == provider


@pytest.mark.parametrize("reason", ["stop", ["end_turn"], '["stop"]', "completed", "finish_reason.STOP"])
def test_ends_of_answers_have_one_name(reason: Any) -> None:
    assert read_span({**CHAT, "gen_ai.response.finish_reasons": reason}).finish_reason == "stop"


def test_takes_the_finish_reason_from_the_messages_where_no_attribute_says_it() -> None:
    messages = [{"role": "assistant", "parts": [], "finish_reason": "tool_call"}]
    assert read_span({**CHAT, "gen_ai.output.messages": json.dumps(messages)}).finish_reason == "tool_calls"


def test_a_stream_without_an_end_broke_off() -> None:
    messages = json.dumps([{"role": "assistant", "parts": [], "finish_reason": ""}])
    cut = read_span({**CHAT, "gen_ai.is_streaming": True, "gen_ai.output.messages": messages}, status_code=1)
    assert (cut.status, cut.finish_reason) == ("ok", "error")
    whole = read_span({**CHAT, "gen_ai.is_streaming": False, "gen_ai.output.messages": messages})
    assert whole.finish_reason is None


@pytest.mark.parametrize(
    ("attributes", "events", "ttft_ms"),
    [
        ({"gen_ai.client.operation.time_to_first_chunk": 0.192}, [], 192),
        ({"ai.response.msToFirstChunk": 164.69}, [], 164.69),
        ({"gen_ai.server.time_to_first_token": 0.5, "gen_ai.request.stream": True}, [], 500),
        ({"gen_ai.server.time_to_first_token": 0.5}, [], None),
        ({"gen_ai.response.time_to_first_chunk": "fast"}, [], None),
        ({"gen_ai.response.time_to_first_chunk": -1}, [], None),
        (
            {},
            [make_event("gen_ai.content.completion.chunk", 170), make_event("llm.content.completion.chunk", 169)],
            169,
        ),
        ({}, [make_event("First Token Stream Event", 135.5)], 135.5),
        ({"gen_ai.response.time_to_first_chunk": 0.1}, [make_event("ai.stream.firstChunk", 165)], 100),
        ({}, [make_event("First Token Stream Event", -5)], None),
    ],
)
def test_finds_the_first_token(attributes: dict[str, Any], events: list[Any], ttft_ms: float | None) -> None:
    found = read_span({**CHAT, **attributes}, events=events).ttft_ms
    assert found == (None if ttft_ms is None else pytest.approx(ttft_ms))


def test_an_error_says_what_went_wrong() -> None:
    event = make_event("exception", exception__type="openai.RateLimitError", exception__message="Slow down.")
    told = read_span({**CHAT, "error.type": "429"}, status_code=2, status_message="Too many.", events=[event])
    assert (told.status, told.error_type, told.error_message) == ("error", "429", "Too many.")
    by_event = read_span(CHAT, status_code=2, events=[event])
    assert (by_event.error_type, by_event.error_message) == ("openai.RateLimitError", "Slow down.")
    by_status = read_span(CHAT, status_code=2, status_message="APITimeoutError: Request timed out.")
    assert (by_status.error_type, by_status.error_message) == ("APITimeoutError", "APITimeoutError: Request timed out.")


def test_a_span_that_went_well_has_no_error_but_keeps_what_was_sent() -> None:
    event = make_event("exception", exception__type="ValueError")
    reading = read_span({**CHAT, "error.type": "ValueError"}, status_code=1, events=[event])
    assert (reading.status, reading.error_type) == ("ok", None)
    assert reading.attributes["error.type"] == "ValueError"
    assert reading.attributes["events"][0]["exception.type"] == "ValueError"


def test_reads_who_and_what_for_from_a_plain_span() -> None:
    reading = read_span(
        {
            "enduser.id": "u-7",
            "session.id": "s-7",
            "prodworthy.feature": "support",
            "prodworthy.prompt_name": "answer",
            "prodworthy.prompt_version": 3,
            "tags": ["beta", "shop"],
            "http.response.status_code": 200,
        },
        resource={
            "service.name": "shop",
            "deployment.environment": "staging",
            "service.version": "1.4.0",
            "telemetry.sdk.name": "opentelemetry",
            "process.pid": 7,
            "host.name": "box",
        },
    )
    assert (reading.kind, reading.user_id, reading.session_id, reading.feature) == ("chain", "u-7", "s-7", "support")
    assert (reading.prompt_name, reading.prompt_version, reading.tags) == ("answer", "3", ["beta", "shop"])
    assert (reading.service, reading.environment) == ("shop", "staging")
    assert reading.attributes == {"http.response.status_code": 200, "resource.service.version": "1.4.0"}


def test_a_span_says_its_environment_louder_than_its_resource() -> None:
    resource = {"deployment.environment.name": "staging"}
    assert read_span({"deployment.environment.name": "canary"}, resource=resource).environment == "canary"
    assert read_span({}, resource=resource).environment == "staging"


@pytest.mark.parametrize(
    "attributes",
    [
        {"traceloop.association.properties.user_id": "u", "traceloop.association.properties.feature": "f"},
        {"ai.telemetry.metadata.userId": "u", "ai.telemetry.metadata.feature": "f"},
        {"ai.settings.context.userId": "u", "ai.settings.context.feature": "f"},
        {"openinference.span.kind": "CHAIN", "metadata": '{"user_id": "u", "feature": "f", "tier": "gold"}'},
    ],
)
def test_reads_the_metadata_of_each_client(attributes: dict[str, Any]) -> None:
    reading = read_span(attributes)
    assert (reading.user_id, reading.feature) == ("u", "f")


def test_what_a_scrubber_left_is_not_a_session() -> None:
    reading = read_span({"session.id": "[Scrubbed due to 'session']", "gen_ai.conversation.id": "conv-1"})
    assert reading.session_id == "conv-1"


def test_puts_numbered_messages_together() -> None:
    reading = read_span(
        {
            "openinference.span.kind": "LLM",
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.content": "Weather?",
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": "Be brief.",
            "llm.input_messages.10.message.role": "tool",
            "llm.input_messages.10.message.tool_call_id": "c1",
            "llm.input_messages.10.message.contents.0.message_content.type": "text",
            "llm.input_messages.10.message.contents.0.message_content.text": "18",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "get_weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"city": "Paris"}',
            "input.value": '{"messages": []}',
            "output.value": '{"id": "chatcmpl-9", "choices": []}',
            "llm.invocation_parameters": '{"model": "gpt-4o-mini", "stream": true}',
        }
    )
    assert [message["role"] for message in reading.input] == ["system", "user", "tool"]
    assert (reading.response_id, reading.request_model, reading.streamed) == ("chatcmpl-9", "gpt-4o-mini", True)
    shown = conversation.read(reading.input, reading.output, kind="llm").messages
    assert [part.text for message in shown for part in message.parts] == [
        "Be brief.",
        "Weather?",
        "18",
        'get_weather(city="Paris")',
    ]
    assert reading.attributes.keys() == {"openinference.span.kind", "llm.invocation_parameters"}


def test_puts_the_messages_of_old_openllmetry_together() -> None:
    reading = read_span(
        {
            "llm.request.type": "chat",
            "gen_ai.system": "OpenAI",
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": "Weather?",
            "gen_ai.prompt.1.role": "assistant",
            "gen_ai.prompt.1.tool_calls.0.id": "c1",
            "gen_ai.prompt.1.tool_calls.0.name": "get_weather",
            "gen_ai.prompt.1.tool_calls.0.arguments": '{"city": "Paris"}',
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "18 degrees.",
            "gen_ai.completion.0.finish_reason": "stop",
            "gen_ai.usage.prompt_tokens": 161,
            "gen_ai.usage.cache_read_input_tokens": 64,
            "llm.usage.total_tokens": 170,
            "llm.is_streaming": "False",
        }
    )
    assert (reading.input_tokens, reading.output_tokens, reading.cached_input_tokens) == (161, 9, 64)
    assert (reading.provider, reading.finish_reason, reading.streamed) == ("openai", "stop", False)
    shown = conversation.read(reading.input, reading.output, kind="llm").messages
    assert [message.role for message in shown] == ["user", "assistant", "assistant"]
    assert shown[1].parts[0].text == 'get_weather(city="Paris")'


def test_instructions_come_before_the_messages_unless_they_are_among_them() -> None:
    system = json.dumps([{"type": "text", "content": "Be brief."}])
    user = [{"role": "user", "parts": [{"type": "text", "content": "Hello."}]}]
    apart = read_span({**CHAT, "gen_ai.system_instructions": system, "gen_ai.input.messages": json.dumps(user)})
    assert [message["role"] for message in apart.input] == ["system", "user"]
    both = [{"role": "system", "parts": []}, *user]
    within = read_span({**CHAT, "gen_ai.system_instructions": system, "gen_ai.input.messages": json.dumps(both)})
    assert within.input == both


def test_reads_an_answer_of_the_vercel_sdk_with_tool_calls() -> None:
    reading = read_span(
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.response.text": "Let me look.",
            "ai.response.toolCalls": json.dumps([{"toolCallId": "c", "toolName": "look", "input": '{"a": 1}'}]),
            "ai.model.provider": "openai.responses",
            "ai.model.id": "gpt-4o",
            "ai.telemetry.functionId": "answer",
        }
    )
    assert (reading.provider, reading.request_model, reading.streamed, reading.feature) == (
        "openai",
        "gpt-4o",
        True,
        "answer",
    )
    shown = conversation.read(None, reading.output, kind="llm").messages
    assert [part.text for part in shown[0].parts] == ["Let me look.", "look(a=1)"]


def test_shows_the_parts_that_the_vercel_sdk_sends() -> None:
    messages = [
        {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c", "toolName": "look", "input": {}}]},
        {
            "role": "tool",
            "content": [{"type": "tool-result", "toolName": "look", "output": {"type": "json", "value": {"a": 1}}}],
        },
    ]
    shown = conversation.read(messages, None, kind="llm").messages
    assert shown[0].parts[0].text == "look()"
    assert json.loads(shown[1].parts[0].text) == {"a": 1}


def test_retrieved_documents_have_ids_and_scores_wherever_they_were_said() -> None:
    reading = read_span(
        {
            "openinference.span.kind": "RETRIEVER",
            "input.value": "refund?",
            "retrieval.documents.0.document.content": "14 days.",
            "retrieval.documents.0.document.metadata": '{"source": "a.md", "score": -0.25}',
            "output.value": json.dumps(
                {"documents": [{"id": "doc-2", "page_content": "14 days.", "metadata": {}, "type": "Document"}]}
            ),
        }
    )
    document = {"id": "doc-2", "content": "14 days.", "score": -0.25, "metadata": {"source": "a.md", "score": -0.25}}
    assert reading.documents is not None
    found = reading.documents[0]
    assert {name: found.get(name) for name in ("id", "content", "score")} == {
        name: document[name] for name in ("id", "content", "score")
    }
    assert (reading.input, reading.output) == ("refund?", None)


def test_a_reranker_gives_each_document_a_score_before_and_after() -> None:
    reading = read_span(
        {
            "openinference.span.kind": "RERANKER",
            "reranker.query": "refund?",
            "reranker.model_name": "rerank-v3",
            "reranker.top_k": 1,
            "reranker.input_documents.0.document.id": "a",
            "reranker.input_documents.0.document.score": 0.4,
            "reranker.input_documents.1.document.id": "b",
            "reranker.input_documents.1.document.score": 0.9,
            "reranker.output_documents.0.document.id": "a",
            "reranker.output_documents.0.document.score": 0.99,
        }
    )
    assert reading.documents == [{"id": "a", "score": 0.4, "rerank_score": 0.99}, {"id": "b", "score": 0.9}]
    assert (reading.input, reading.request_model, reading.attributes["reranker.top_k"]) == ("refund?", "rerank-v3", 1)


def test_vectors_are_not_kept() -> None:
    reading = read_span(
        {
            "openinference.span.kind": "EMBEDDING",
            "embedding.embeddings.0.embedding.text": "refund?",
            "embedding.embeddings.0.embedding.vector": [0.25] * 1536,
            "output.value": json.dumps({"data": [{"embedding": [0.25] * 1536}]}),
        }
    )
    assert (reading.input, reading.output, reading.attributes["embedding.dimensions"]) == ("refund?", None, 1536)
    assert len(str(reading.attributes)) < 200


@pytest.mark.parametrize(
    "attributes",
    [
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "look",
            "gen_ai.tool.call.arguments": '{"a": 1}',
            "gen_ai.tool.call.result": '{"b": 2}',
        },
        {
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "look",
            "traceloop.entity.input": '{"args": [], "kwargs": {"a": 1}}',
            "traceloop.entity.output": '{"b": 2}',
        },
        {
            "openinference.span.kind": "TOOL",
            "tool.name": "look",
            "input.value": '{"a": 1}',
            "output.value": json.dumps({"type": "tool", "data": {"content": '{"b": 2}', "name": "look"}}),
        },
        {
            "ai.operationId": "ai.toolCall",
            "ai.toolCall.name": "look",
            "ai.toolCall.args": '{"a": 1}',
            "ai.toolCall.result": '{"b": 2}',
        },
    ],
    ids=["otel", "traceloop", "openinference", "vercel"],
)
def test_reads_a_tool_run(attributes: dict[str, Any]) -> None:
    reading = read_span(attributes)
    assert (reading.kind, reading.tool_name, reading.input, reading.output) == ("tool", "look", {"a": 1}, {"b": 2})


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"args": ["Where is it?"], "kwargs": {}}, "Where is it?"),
        ({"args": [1, 2], "kwargs": {}}, [1, 2]),
        ({"args": [1], "kwargs": {"a": 1}}, {"args": [1], "kwargs": {"a": 1}}),
        ({"args": [], "kwargs": {}}, None),
        ("plain", "plain"),
    ],
)
def test_shows_of_a_functions_arguments_what_was_given(sent: Any, shown: Any) -> None:
    attributes = {"traceloop.span.kind": "agent", "traceloop.entity.input": json.dumps(sent)}
    assert read_span(attributes).input == shown


def test_a_requested_tool_is_not_the_tool_of_the_model_span() -> None:
    reading = read_span({**CHAT, "gen_ai.tool.name": "look"})
    assert (reading.tool_name, reading.attributes["gen_ai.tool.name"]) == (None, "look")


def test_a_score_comes_with_a_span_or_as_a_log_record() -> None:
    attributes = {
        "gen_ai.evaluation.name": "helpful",
        "gen_ai.evaluation.score.value": 0.5,
        "gen_ai.evaluation.score.label": "fair",
        "gen_ai.evaluation.explanation": "Half of it.",
    }
    event = make_event("gen_ai.evaluation.result")
    event.attributes = attributes
    by_log = read_log(make_log("gen_ai.evaluation.result", attributes))
    for found in (*read_span(CHAT, events=[event]).scores, by_log):
        assert isinstance(found, ScoreReading)
        assert (found.name, found.value, found.label, found.comment) == ("helpful", 0.5, "fair", "Half of it.")


def test_messages_come_as_log_records_or_events_of_the_span() -> None:
    said = read_log(make_log("gen_ai.user.message", {"gen_ai.system": "openai"}, body={"content": "Hello."}))
    assert isinstance(said, LogReading)
    assert (said.event_name, said.body, said.time_ns) == ("gen_ai.user.message", {"content": "Hello."}, START)
    events = [
        make_event("gen_ai.user.message", content="Hello."),
        make_event("gen_ai.choice", 900, gen_ai__event__content='{"message": {"content": "Hi."}}'),
    ]
    reading = read_span(CHAT, events=events)
    shown = conversation.read(reading.input, reading.output, kind="llm").messages
    assert [(message.role, message.parts[0].text) for message in shown] == [("user", "Hello."), ("assistant", "Hi.")]


@pytest.mark.parametrize("log", [make_log("my.event"), make_log("gen_ai.choice", trace_id=None, span_id=None)])
def test_other_log_records_say_nothing(log: Any) -> None:
    assert read_log(log) is None


NAMES = sorted(
    {source.attribute for dialect in DIALECTS for source in dialect.sources}
    | {several.attribute for dialect in DIALECTS for several in dialect.several}
    | {mark for dialect in DIALECTS for mark in dialect.marks}
    | {family.prefix + rest for dialect in DIALECTS for family in dialect.families for rest in ("0.role", "x", "1.a.2")}
    | {space.prefix + key for dialect in DIALECTS for space in dialect.metadata for key in ("tags", "user_id", "k")}
)
EVENTS = sorted(name.replace("*", "7") for dialect in DIALECTS for name in dialect.events)
KIND_WORDS = ["chat", "LLM", "generation", "TOOL", "ai.toolCall", '"AGENT"', "ai.streamText.doStream", "RETRIEVER"]
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)  # the decoder replaces lone surrogates
TEXTS = st.one_of(
    WORDS,
    st.sampled_from(KIND_WORDS),
    st.sampled_from(
        [
            "[" * 9_000,
            "{'a': " * 9_000,
            "1e999",
            "{'a': {1, 2}}",
            '[{"role": "\\ud800"}]',
            "['\\ud800']",
            "[{}]",
            '{"data": 1}',
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
        max_leaves=6,
    ).flatmap(lambda value: st.sampled_from([json.dumps(value), repr(value)])),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
ATTRIBUTES = st.dictionaries(st.sampled_from(NAMES) | WORDS, VALUES, max_size=12)


@settings(max_examples=300, deadline=None)
@given(ATTRIBUTES, st.lists(st.tuples(st.sampled_from(EVENTS), ATTRIBUTES), max_size=3), st.integers(0, 3), ATTRIBUTES)
def test_whatever_an_attribute_holds_the_span_can_be_kept(
    attributes: dict[str, Any], events: list[tuple[str, dict[str, Any]]], status: int, resource: dict[str, Any]
) -> None:
    made = []
    for name, more in events:
        event = make_event(name)
        event.attributes = more
        made.append(event)
    span = make_otlp_span(attributes, events=made, status_code=status, resource=resource)
    sent = dict(attributes)
    reading = read(span)
    assert reading.kind in KINDS
    assert attributes.keys() == sent.keys(), "the span itself was changed"
    record = wire.record_of(reading, project_id=1, received_at=RECEIVED, keep_since=RECEIVED - timedelta(days=30))
    assert record.started_at
    for count in (record.input_tokens, record.output_tokens, record.cached_input_tokens):
        assert count is None or 0 <= count <= 10**12


@settings(max_examples=100, deadline=None)
@given(ATTRIBUTES, VALUES, st.sampled_from(["gen_ai.choice", "gen_ai.evaluation.result", ""]))
def test_whatever_a_log_record_holds_it_can_be_read(attributes: dict[str, Any], body: Any, name: str) -> None:
    read_log(make_log(name, attributes, body=body))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(WORDS, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(WORDS, PLAIN, min_size=1, max_size=3))
def test_reads_what_python_wrote_where_json_was_meant(value: dict[str, Any]) -> None:
    assert converting.opened(repr(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize(
    "text", ["{'a': object()}", "[<Usage>]", "{'a': ", "[__import__('os')]", "['a'] + ['b']", "[" * 300 + "]" * 300]
)
def test_what_is_neither_json_nor_plain_python_stays_text(text: str) -> None:
    assert converting.opened(text) == text
