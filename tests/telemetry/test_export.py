"""Exports: what is in them, that they can be sent back, and that memory does not grow with them."""

from __future__ import annotations

import io
import json
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psutil
import pyarrow.parquet
import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse

from apps.projects.models import Project
from apps.projects.types import Scope
from apps.telemetry.exported import SENT, WORKED_OUT
from apps.telemetry.services.exporting import JSONL, PARQUET, Export, write
from apps.telemetry.services.partitions import ensure_partitions, forget_known
from apps.telemetry.types import PAYLOAD_COLUMNS, SPAN_COLUMNS
from apps.telemetry.wire import KNOWN_FIELDS
from tests import factories
from tests.telemetry.conftest import EMPTY, Intake, make_span, rows

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
OURS = {"received_at", "digest", "project_id"}
"""What differs between the first time that a span is sent and the second."""


@pytest.fixture
def reader(project: Project) -> dict[str, str]:
    """The headers of a key that may read."""
    return {"Authorization": f"Bearer {factories.make_key(project, Scope.READ)}"}


def body_of(response: Any) -> bytes:
    """The whole of a streamed answer."""
    assert isinstance(response, StreamingHttpResponse), response.content
    return b"".join(response.streaming_content)


def a_range(**more: str) -> dict[str, str]:
    """A few days around now."""
    start, end = NOW - timedelta(days=40), NOW + timedelta(days=1)
    return {"from": start.isoformat(), "to": end.isoformat()} | more


def all_kinds_of_spans() -> list[dict[str, Any]]:
    """Spans with everything that a client may send, in every form."""
    started_at = (NOW - timedelta(hours=1)).isoformat()
    root = make_span(
        kind="agent",
        name="help",
        user_id="u_1",
        session_id="s_1",
        feature="help",
        started_at=started_at,
        tags=["b", "a"],
    )
    del root["environment"]
    child = make_span(
        trace_id=root["trace_id"],
        parent_span_id=root["span_id"],
        started_at=started_at,
        input=[{"role": "user", "content": 'tschüß \u2028 "quoted"'}],
        output="a text\nwith lines",
        cost_usd="0.000123456789",
        response_id="resp_1",
        documents=[{"id": "1", "score": 0.25, "content": "c"}],
        attributes={"b": 1, "a": {"deep": [1.5, None, True]}},
        unknown_field="kept",
        streamed=True,
        ttft_ms=12.4,
        attempts=2,
        finish_reason="stop",
        cached_input_tokens=3,
    )
    del child["feature"]
    odd = [
        make_span(input="", output={}, status="error", error_type="E", error_message="broken", started_at=started_at),
        make_span(request_model="nobody-knows-this", cost_usd="0.5"),
        make_span(kind="tool", tool_name="search", input={"q": 1}, output=[1, 2], name="x" * 600),
        make_span(started_at=(NOW - timedelta(days=30)).isoformat(), user_id="u_2"),
    ]
    return [root, child, *odd]


def stored() -> list[dict[str, Any]]:
    """All that is stored of spans, but for when and how it came here."""
    columns = [*(name for name in SPAN_COLUMNS if name not in OURS), *PAYLOAD_COLUMNS]
    found = rows(
        f"SELECT {', '.join(columns)} FROM telemetry_span LEFT JOIN telemetry_payload"
        " USING (project_id, trace_id, span_id, started_at) ORDER BY trace_id, span_id"
    )
    return [dict(zip(columns, row, strict=True)) for row in found]


def test_has_every_field_of_a_span() -> None:
    assert set(SENT) == KNOWN_FIELDS
    assert set(SPAN_COLUMNS) - {*SENT, *WORKED_OUT} == {"project_id", "price_id", "digest"}


def test_makes_the_same_rows_when_it_is_sent_again(intake: Intake, client: Client, reader: dict[str, str]) -> None:
    spans = all_kinds_of_spans()
    assert intake.post(spans).json()["stored"] == len(spans)
    before = stored()
    assert len(before) == len(spans)
    assert {flag for span in before for flag in span["flags"]} >= {
        "user_id_inherited",
        "environment_assumed",
        "truncated",
    }
    body = body_of(client.get("/api/v1/export", a_range(format="jsonl"), headers=reader))
    lines = [json.loads(line) for line in body.splitlines()]
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)
    assert intake.post(lines).json() == {"stored": len(spans), "updated": 0, "duplicates": 0, "rejected": []}
    after = stored()
    assert after == before


def test_writes_the_names_of_the_api_and_money_as_text(intake: Intake, client: Client, reader: dict[str, str]) -> None:
    intake.post([make_span(input={"a": 1}, cost_usd="0.10", request_model="nobody-knows-this", tags=["x"])])
    response = client.get("/api/v1/export", a_range(), headers=reader)
    assert response["Content-Type"] == "application/x-ndjson"
    (line,) = [json.loads(line) for line in body_of(response).splitlines()]
    listed = client.get("/api/v1/spans", a_range(), headers=reader).json()["items"][0]
    assert line["cost_usd"] == listed["cost_usd"] == "0.1"
    same = set(line) & set(listed) - {"documents", "attributes"}
    assert len(same) > 35
    assert {name: line[name] for name in same} == {name: listed[name] for name in same}


def test_writes_parquet_with_exact_money(intake: Intake, client: Client, reader: dict[str, str]) -> None:
    spans = all_kinds_of_spans()
    intake.post(spans)
    body = body_of(client.get("/api/v1/export", a_range(format="parquet"), headers=reader))
    table = pyarrow.parquet.read_table(io.BytesIO(body))
    assert table.num_rows == len(spans)
    assert str(table.schema.field("cost_usd").type) == "decimal128(38, 18)"
    assert str(table.schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    by_id = {row["span_id"]: row for row in table.to_pylist()}
    child = by_id[spans[1]["span_id"]]
    assert child["client_cost_usd"] == Decimal("0.000123456789")
    assert child["trace_id"] == spans[1]["trace_id"]
    assert child["user_id"] == "u_1"
    assert json.loads(child["input"])[0]["role"] == "user"
    assert child["input_is_json"] is True
    assert child["output"] == "a text\nwith lines"
    assert by_id[spans[0]["span_id"]]["tags"] == ["a", "b"]
    assert by_id[spans[0]["span_id"]]["cost_usd"] is None


def test_keeps_to_range_filters_and_project(
    intake: Intake, client: Client, reader: dict[str, str], other_project: Project
) -> None:
    other_key = factories.make_key(other_project, Scope.INGEST)
    intake.post([make_span(name="theirs")], key=other_key)
    intake.post(
        [
            make_span(name="old", started_at=(NOW - timedelta(days=3)).isoformat()),
            make_span(name="staging", environment="staging"),
            make_span(name="hers", user_id="carla"),
        ]
    )

    def names(**query: str) -> set[str]:
        lines = body_of(client.get("/api/v1/export", query, headers=reader)).splitlines()
        return {json.loads(line)["name"] for line in lines}

    assert names() == {"staging", "hers"}
    assert names(**a_range()) == {"old", "staging", "hers"}
    assert names(environment="staging") == {"staging"}
    assert names(user="carla") == {"hers"}
    assert names(model="no-such-model") == set()
    for wrong in (
        {"format": "xml"},
        {"user_id": "x"},
        {"from": "soon"},
        {"from": NOW.isoformat(), "to": NOW.isoformat()},
    ):
        refused = client.get("/api/v1/export", wrong, headers=reader)
        assert refused.status_code in (404, 422), wrong


def test_downloads_from_the_page(intake: Intake, project: Project, bob_client: Client) -> None:
    intake.post([make_span(name="mine")])
    url = reverse("settings_export", kwargs={"project": project.slug})
    assert bob_client.get(url).status_code == 200
    today = NOW.date().isoformat()
    response = bob_client.get(url, {"form": "jsonl", "first": today, "last": today})
    assert [json.loads(line)["name"] for line in body_of(response).splitlines()] == ["mine"]
    assert "attachment" in response["Content-Disposition"]
    wrong = bob_client.get(url, {"form": "jsonl", "first": today, "last": "2020-01-01"})
    assert wrong.status_code == 422


FILL = """
INSERT INTO telemetry_span (project_id, trace_id, span_id, client_started_at, started_at, received_at, kind, name,
  status, counted, digest, error_type, error_message, environment, feature, service, user_id, session_id, provider,
  model, request_model, response_model, prompt_name, prompt_version, source, finish_reason, tool_name, agent_name,
  tags, flags, input_tokens, cost_usd)
SELECT %(project)s, decode(lpad(to_hex(n), 32, '0'), 'hex'), decode(lpad(to_hex(n), 16, '0'), 'hex'), at, at, at, 'llm',
  'call', 'ok', true, '', '', '', 'production', 'f', '', '', '', 'openai', 'm', 'm', '', '', '', 'service', '', '', '',
  '{}', '{}', n, 0.0001
FROM generate_series(1, %(count)s) AS n,
  LATERAL (SELECT %(at)s::timestamptz + (n / 7) * interval '1 ms' AS at) AS moment
"""
FILL_PAYLOADS = """
INSERT INTO telemetry_payload (project_id, trace_id, span_id, started_at, input, input_is_json, output_is_json)
SELECT project_id, trace_id, span_id, started_at, repeat(md5(span_id::text), 30), false, false FROM telemetry_span
"""


@pytest.mark.parametrize("form", [JSONL, PARQUET])
def test_holds_little_of_50_000_spans_in_memory(span_tables: None, project: Project, form: str) -> None:
    """Some 75 MB of text pass through; several spans begin at the same moment, so that paging must not lose any."""
    at = NOW.replace(hour=1, minute=0, second=0, microsecond=0)
    forget_known()
    ensure_partitions([at.date()])
    with connection.cursor() as cursor:
        cursor.execute(FILL, {"project": project.pk, "count": 50_000, "at": at})
        cursor.execute(FILL_PAYLOADS)
    process = psutil.Process()
    # What is imported late, and what the first portions need, is not what grows.
    b"".join(write(Export(project.pk, at, at + timedelta(seconds=1)), form))
    before = most = process.memory_info().rss
    numbers = size = 0
    with tempfile.TemporaryFile() as file:
        for piece in write(Export(project.pk, at - timedelta(hours=1), at + timedelta(hours=5)), form):
            size += len(piece)
            numbers += piece.count(b"\n")
            most = max(most, process.memory_info().rss)
            file.write(piece)
        if form == PARQUET:
            table = pyarrow.parquet.read_table(file, columns=["input_tokens"])
            assert sorted(table.column("input_tokens").to_pylist()) == list(range(1, 50_001))
        else:
            assert numbers == 50_000
            assert size > 75_000_000
    assert most - before < 40_000_000, f"{most - before:,} bytes more"
