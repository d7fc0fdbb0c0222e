"""Spans of Langfuse's SDK, and token counts out of the usage objects that it and others pass on."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from apps.telemetry.dialects import read, usage
from apps.telemetry.reading import Reading
from tests.telemetry.otlp_spans import START, make_otlp_span

OPENAI = {
    "prompt_tokens": 173,
    "completion_tokens": 211,
    "total_tokens": 384,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {"reasoning_tokens": 192},
}
"""As the provider answered; its input includes the cache, its output the reasoning."""


def observe(kind: str, *, name: str = "answer", **changes: Any) -> Reading:
    """An observation; `__` in a name is a dot, `observation`, `trace` and the like come after `langfuse.`."""
    span = {field: changes.pop(field) for field in ("status_code", "resource", "status_message") if field in changes}
    attributes = {f"langfuse.{key.replace('__', '.')}": value for key, value in changes.items()}
    return read(make_otlp_span({"langfuse.observation.type": kind, **attributes}, name=name, **span))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("generation", "llm"),
        ("embedding", "embedding"),
        ("retriever", "retriever"),
        ("tool", "tool"),
        ("agent", "agent"),
        ("span", "chain"),
        ("evaluator", "chain"),
    ],
)
def test_knows_the_kind_of_an_observation(said: str, kind: str) -> None:
    assert observe(said).kind == kind


def test_reads_a_generation() -> None:
    found = observe(
        "generation",
        observation__usage_details=json.dumps(OPENAI),
        observation__cost_details='{"input": 0.001, "output": 0.002, "total": 0.003}',
        observation__model__name="gpt-5-mini-2025-08-07",
        observation__prompt__name="support-answer",
        observation__prompt__version=3,
        observation__completion_start_time='"2026-11-23T08:12:36.250Z"',
        observation__input='{"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}]}',
        observation__output="Paris",
        observation__metadata__finish_reason='"stop"',
        trace__metadata__feature='"support-bot"',
        trace__tags=["beta"],
    )
    assert (found.input_tokens, found.output_tokens) == (173, 211)
    assert (found.cached_input_tokens, found.reasoning_tokens) == (64, 192)
    assert found.cost_usd == Decimal("0.003")
    assert (found.request_model, found.response_model) == (None, "gpt-5-mini-2025-08-07")
    assert (found.prompt_name, found.prompt_version) == ("support-answer", "3")
    assert found.input == [{"role": "user", "content": "hi"}]
    assert found.attributes["langfuse.observation.input.tools"] == [{"type": "function"}]
    assert (found.output, found.finish_reason) == ("Paris", "stop")
    assert (found.feature, found.tags) == ("support-bot", ["beta"])


def test_the_first_token_has_its_own_moment() -> None:
    moment = f"2026-11-23T{START // 3_600_000_000_000 % 24:02d}:12:36.250Z"
    found = observe("generation", observation__completion_start_time=f'"{moment}"')
    assert found.started_at.isoformat() == f"{moment[:19]}+00:00"
    assert (found.ttft_ms, found.streamed) == (250.0, True)


def test_a_failed_call_names_the_model_that_was_asked() -> None:
    found = observe(
        "generation",
        status_code=2,
        observation__level="ERROR",
        observation__status_message="Error code: 429",
        observation__model__name="gpt-4o-mini",
        observation__cost_details='{"input": 0, "output": 0, "total": 0}',
    )
    assert (found.status, found.error_message) == ("error", "Error code: 429")
    assert (found.request_model, found.response_model) == ("gpt-4o-mini", None)
    assert found.cost_usd is None


def test_an_environment_that_was_not_set_is_not_said() -> None:
    assert observe("span", environment="default").environment is None
    assert observe("span", environment="staging").environment == "staging"
    assert observe("span", resource={"langfuse.environment": "staging"}).environment == "staging"


def test_a_tool_has_its_name_and_arguments() -> None:
    found = observe(
        "tool",
        name="get_weather",
        observation__input='{"args": [], "kwargs": {"city": "Paris"}}',
        observation__output='{"degrees": 18}',
    )
    assert (found.tool_name, found.input, found.output) == ("get_weather", {"city": "Paris"}, {"degrees": 18})
    assert observe("agent", name="order-agent").agent_name == "order-agent"


def test_a_retriever_has_documents() -> None:
    found = observe("retriever", observation__output='[{"id": "doc-1", "content": "Paris", "score": 0.9}]')
    assert found.documents == [{"id": "doc-1", "content": "Paris", "score": 0.9}]
    assert found.output is None


@pytest.mark.parametrize(
    ("said", "tokens"),
    [
        (OPENAI, (173, 211, 64, None, 192)),
        ({"input_tokens": 173, "output_tokens": 19, "input_tokens_details": {"cached_tokens": 64}},
         (173, 19, 64, None, None)),
        ({"input_tokens": 173, "output_tokens": 19, "cache_creation_input_tokens": 1200, "cache_read_input_tokens": 5},
         (1378, 19, 5, 1200, None)),
        ({"input_tokens": 1373, "output_tokens": 19, "total_tokens": 1392, "cache_creation_input_tokens": 1200},
         (1373, 19, None, 1200, None)),
        ({"prompt_tokens": 1373, "completion_tokens": 19, "cache_creation_input_tokens": 1200},
         (1373, 19, None, 1200, None)),
        ({"input": 109, "output": 19, "input_cached_tokens": 64, "output_reasoning_tokens": 192},
         (173, 211, 64, None, 192)),
        ({"input": 173, "output": 19, "total": 192, "input_cached_tokens": 64}, (173, 19, 64, None, None)),
        ({"prompt_token_count": 10, "candidates_token_count": 5, "thoughts_token_count": 7, "total_token_count": 22},
         (10, 12, None, None, 7)),
        ({"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 90}, (100, 5, 90, None, None)),
        ("{'prompt_tokens': 173, 'completion_tokens': 19, 'prompt_tokens_details': {'cached_tokens': None}}",
         (173, 19, None, None, None)),
    ],
)  # fmt: skip
def test_usage_objects_mean_what_their_provider_means(said: Any, tokens: tuple[int | None, ...]) -> None:
    names = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
    found = usage.fields(said)
    assert tuple(found.get(name) for name in names) == tokens


@pytest.mark.parametrize("said", [{}, None, "none", [], {"prompt_tokens": 0, "completion_tokens": 0}, {"input": "x"}])
def test_usage_that_counts_nothing_says_nothing(said: Any) -> None:
    assert usage.fields(said) == {}


def test_a_stream_without_an_end_broke_off() -> None:
    said: dict[str, Any] = {"name": "OpenAI-generation", "observation__output": "One, "}
    said["observation__completion_start_time"] = '"2026-11-23T08:12:36.250Z"'
    broken = observe("generation", **said)
    assert (broken.status, broken.finish_reason) == ("error", "error")
    assert observe("generation", observation__metadata__finish_reason="stop", **said).status == "ok"
    assert observe("generation", observation__usage_details='{"input_tokens": 9}', **said).status == "ok"
    assert observe("generation", **said | {"name": "my own"}).status == "ok"
