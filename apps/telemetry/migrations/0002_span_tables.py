"""The partitioned tables, which Django's schema editor cannot describe."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

SPAN = """
CREATE TABLE telemetry_span (
  project_id bigint NOT NULL,
  trace_id bytea NOT NULL,
  span_id bytea NOT NULL,
  client_started_at timestamptz NOT NULL,
  started_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  status text NOT NULL,
  counted boolean NOT NULL,
  digest bytea NOT NULL,
  parent_span_id bytea,
  ended_at timestamptz,
  latency_ms bigint,
  ttft_ms bigint,
  error_type text NOT NULL,
  error_message text NOT NULL,
  environment text NOT NULL,
  feature text NOT NULL,
  service text NOT NULL,
  user_id text NOT NULL,
  session_id text NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  request_model text NOT NULL,
  response_model text NOT NULL,
  prompt_name text NOT NULL,
  prompt_version text NOT NULL,
  source text NOT NULL,
  finish_reason text NOT NULL,
  streamed boolean,
  input_tokens bigint,
  output_tokens bigint,
  cached_input_tokens bigint,
  cache_write_tokens bigint,
  reasoning_tokens bigint,
  cost_usd numeric,
  client_cost_usd numeric,
  price_id bigint,
  tool_name text NOT NULL,
  agent_name text NOT NULL,
  tags text[] NOT NULL,
  flags text[] NOT NULL,
  CONSTRAINT telemetry_span_key PRIMARY KEY (project_id, trace_id, span_id, started_at),
  CONSTRAINT telemetry_span_trace_id_size CHECK (octet_length(trace_id) = 16),
  CONSTRAINT telemetry_span_span_id_size CHECK (octet_length(span_id) = 8),
  CONSTRAINT telemetry_span_status_known CHECK (status IN ('ok', 'error')),
  CONSTRAINT telemetry_span_cost_not_negative CHECK (cost_usd >= 0)
) PARTITION BY RANGE (started_at);
CREATE INDEX telemetry_span_time ON telemetry_span (project_id, started_at);
"""

PAYLOAD = """
CREATE TABLE telemetry_payload (
  project_id bigint NOT NULL,
  trace_id bytea NOT NULL,
  span_id bytea NOT NULL,
  started_at timestamptz NOT NULL,
  input text,
  output text,
  input_is_json boolean NOT NULL,
  output_is_json boolean NOT NULL,
  documents text,
  attributes text,
  CONSTRAINT telemetry_payload_key PRIMARY KEY (project_id, trace_id, span_id, started_at)
) PARTITION BY RANGE (started_at);
"""

SKEWED = """
CREATE TABLE telemetry_skewed (
  project_id bigint NOT NULL,
  trace_id bytea NOT NULL,
  span_id bytea NOT NULL,
  client_started_at timestamptz NOT NULL,
  stored_at timestamptz NOT NULL,
  CONSTRAINT telemetry_skewed_key PRIMARY KEY (project_id, trace_id, span_id, client_started_at)
);
"""


class Migration(migrations.Migration):
    """Spans and payloads in day partitions, made ahead and on demand by `telemetry.services.partitions`."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0001_cost_records_and_intake")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.RunSQL(SPAN, "DROP TABLE telemetry_span"),
        migrations.RunSQL(PAYLOAD, "DROP TABLE telemetry_payload"),
        migrations.RunSQL(SKEWED, "DROP TABLE telemetry_skewed"),
    ]
