"""What real clients send, through the doors: the same task and the same retrieval, whoever reports them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.telemetry.services import digesting
from tests.telemetry.captured import requests_of, send
from tests.telemetry.conftest import Intake, rows


def take_in(intake: Intake, client: str) -> None:
    for flow in requests_of(client).values():
        for request in flow:
            assert send(intake.client, intake.key, request).status_code in {200, 202, 207}
    digesting.digest(now=datetime.now(UTC), max_seconds=60)


@pytest.mark.parametrize(
    "client",
    ["agents-native", "agents-otel-genai", "genai-langchain", "langfuse-5", "openinference-openai", "pydantic-ai"],
)
def test_reads_the_same_task_from_every_client(intake: Intake, client: str) -> None:
    take_in(intake, client)
    found = rows(
        "SELECT outcome, steps, model_calls, tool_runs, tools, loop FROM telemetry_agenttask WHERE name = 'order-agent'"
    )
    assert found == [("success", 5, 3, 2, ["calculate", "lookup_order"], "")]


@pytest.mark.parametrize("client", ["agents-native", "agents-openinference", "agents-otel-genai"])
def test_follows_a_handoff(intake: Intake, client: str) -> None:
    take_in(intake, client)
    assert rows("SELECT steps, handoffs FROM telemetry_agenttask WHERE name = 'triage'") == [(2, 1)]
    assert not rows("SELECT 1 FROM telemetry_agenttask WHERE name = 'refunds'")


@pytest.mark.parametrize(
    ("client", "index", "shown"),
    [
        ("openinference-openai", "retrieve", (3, 0.91, "citation")),
        ("otel-genai-openai", "kb-refunds", (3, 0.91, "citation")),
        # The answer comes as a log record.
        ("otel-openai-v2-legacy", "kb-refunds", (3, 0.91, "citation")),
    ],
)
def test_reads_a_retrieval_and_its_use(intake: Intake, client: str, index: str, shown: tuple[Any, ...]) -> None:
    take_in(intake, client)
    found = rows(
        "SELECT chunks, top_score, utilisation_method, utilisation FROM telemetry_retrieval WHERE name = %s", index
    )
    assert found == [(*shown, pytest.approx(1 / 3))]
