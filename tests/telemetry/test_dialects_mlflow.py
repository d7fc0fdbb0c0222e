"""Spans of MLflow, under its own names and in its GenAI mode."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.telemetry.dialects import read
from apps.telemetry.reading import Reading
from tests.telemetry.otlp_spans import make_event, make_otlp_span

ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-5-mini-2025-08-07",
    "choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "content": None}}],
    "usage": {"prompt_tokens": 173, "completion_tokens": 211, "completion_tokens_details": {"reasoning_tokens": 192}},
}


def read_mlflow(kind: str, *, name: str = "Completions", events: Any = (), **attributes: Any) -> Reading:
    """A span with MLflow's attributes, each of them as JSON in a text; `__` in a name is a dot."""
    said = {key.replace("__", "."): json.dumps(value) for key, value in attributes.items()}
    return read(make_otlp_span({"mlflow.spanType": json.dumps(kind), **said}, name=name, events=list(events)))


def test_reads_a_call() -> None:
    found = read_mlflow(
        "CHAT_MODEL",
        model="gpt-5-mini",
        user="user-42",
        mlflow__llm__model="gpt-5-mini-2025-08-07",
        mlflow__chat__tokenUsage={"input_tokens": 173, "output_tokens": 211, "cache_read_input_tokens": 64,
                                  "total_tokens": 384},
        mlflow__spanInputs={"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]},
        mlflow__spanOutputs=ANSWER,
    )  # fmt: skip
    assert found.kind == "llm"
    assert (found.request_model, found.response_model) == ("gpt-5-mini", "gpt-5-mini-2025-08-07")
    assert (found.input_tokens, found.output_tokens) == (173, 211)
    assert (found.cached_input_tokens, found.reasoning_tokens) == (64, 192)
    assert (found.response_id, found.finish_reason, found.user_id) == ("chatcmpl-1", "tool_calls", "user-42")
    assert found.input == [{"role": "user", "content": "hi"}]
    assert found.output == [{"role": "assistant", "content": None}]


def test_a_streamed_call_has_its_first_chunk() -> None:
    chunks = [make_event("mlflow.chunk.item.1", 60), make_event("mlflow.chunk.item.0", 50)]
    found = read_mlflow("CHAT_MODEL", stream=True, events=chunks)
    assert (found.ttft_ms, found.streamed) == (50.0, True)


@pytest.mark.parametrize(
    ("said", "kind"),
    [("EMBEDDING", "embedding"), ("RETRIEVER", "retriever"), ("RERANKER", "reranker"), ("UNKNOWN", "chain")],
)
def test_knows_the_kind_in_both_modes(said: str, kind: str) -> None:
    assert read_mlflow(said).kind == kind
    assert read(make_otlp_span({"gen_ai.operation.name": said}, scope="mlflow.tracing.provider")).kind == kind


def test_the_tokens_of_an_embedding_are_in_its_answer_and_its_vectors_are_not_kept() -> None:
    answer = {"data": [{"embedding": [0.25, 0.5]}], "usage": {"prompt_tokens": 15, "total_tokens": 15}}
    found = read_mlflow("EMBEDDING", model="text-embedding-3-small", mlflow__spanOutputs=answer)
    assert (found.input_tokens, found.output_tokens, found.output) == (15, None, None)
    assert "0.25" not in str(found.attributes)


def test_a_chain_around_a_call_has_none_of_its_usage() -> None:
    found = read_mlflow("CHAIN", mlflow__spanOutputs=ANSWER, mlflow__chat__tokenUsage={"input_tokens": 173})
    assert (found.kind, found.input_tokens, found.response_model, found.response_id) == ("chain", None, None, None)


def test_tools_agents_and_documents_have_their_names() -> None:
    tool = read_mlflow(
        "TOOL", mlflow__spanFunctionName="get_weather", mlflow__spanInputs={"city": "Paris"}, mlflow__spanOutputs="18"
    )
    assert (tool.tool_name, tool.input, tool.output) == ("get_weather", {"city": "Paris"}, "18")
    assert read_mlflow("AGENT", name="order-agent").agent_name == "order-agent"
    documents = [{"page_content": "Paris", "metadata": {"score": 0.9}, "id": "doc-1"}]
    found = read_mlflow("RETRIEVER", mlflow__spanOutputs=documents)
    assert found.documents == [{"id": "doc-1", "score": 0.9, "content": "Paris", "metadata": {"score": 0.9}}]
