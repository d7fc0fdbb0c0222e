"""What tells two reports of one call, traces that wait for spans, content that came as logs, and what is yet to be
looked through."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

COLUMNS = """
ALTER TABLE telemetry_span
  ADD COLUMN response_id text NOT NULL DEFAULT '',
  ADD COLUMN call_id text NOT NULL DEFAULT '',
  ADD COLUMN scope text NOT NULL DEFAULT '',
  ADD COLUMN attempts smallint NOT NULL DEFAULT 1;
CREATE INDEX telemetry_span_response ON telemetry_span (project_id, response_id, started_at) WHERE response_id <> '';
CREATE INDEX telemetry_span_call ON telemetry_span (project_id, call_id, started_at) WHERE call_id <> '';
CREATE INDEX telemetry_span_session ON telemetry_span (project_id, session_id, started_at) WHERE session_id <> '';
CREATE INDEX telemetry_span_user ON telemetry_span (project_id, user_id, started_at) WHERE user_id <> '';
"""
WITHOUT_COLUMNS = """
ALTER TABLE telemetry_span DROP COLUMN response_id, DROP COLUMN call_id, DROP COLUMN scope, DROP COLUMN attempts;
DROP INDEX telemetry_span_session;
DROP INDEX telemetry_span_user;
"""

OPEN_TRACES = """
CREATE TABLE telemetry_opentrace (
  project_id bigint NOT NULL,
  trace_id bytea NOT NULL,
  around timestamptz NOT NULL,
  marked_at timestamptz NOT NULL,
  settled_at timestamptz,
  is_deferred boolean NOT NULL DEFAULT false,
  CONSTRAINT telemetry_opentrace_key PRIMARY KEY (project_id, trace_id)
);
CREATE INDEX telemetry_opentrace_unsettled ON telemetry_opentrace (marked_at) WHERE settled_at IS NULL;
"""

FRESH = """
CREATE TABLE telemetry_fresh (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project_id bigint NOT NULL,
  at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  trace_ids bytea[] NOT NULL,
  span_ids bytea[] NOT NULL,
  started_ats timestamptz[] NOT NULL
);
CREATE INDEX telemetry_fresh_project ON telemetry_fresh (project_id, id);
"""

LOG_PARTS = """
CREATE TABLE telemetry_logpart (
  project_id bigint NOT NULL,
  trace_id bytea NOT NULL,
  span_id bytea NOT NULL,
  at timestamptz NOT NULL,
  digest bytea NOT NULL,
  event_name text NOT NULL,
  body text,
  attributes text,
  CONSTRAINT telemetry_logpart_key PRIMARY KEY (project_id, trace_id, span_id, at, digest)
) PARTITION BY RANGE (at);
"""


class Migration(migrations.Migration):
    """Everything is added with defaults, so that it is quick however many spans there are, but for the indexes."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0004_sample_loads")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.RunSQL(COLUMNS, WITHOUT_COLUMNS),
        migrations.RunSQL(OPEN_TRACES, "DROP TABLE telemetry_opentrace"),
        migrations.RunSQL(FRESH, "DROP TABLE telemetry_fresh"),
        migrations.RunSQL(LOG_PARTS, "DROP TABLE telemetry_logpart"),
    ]
