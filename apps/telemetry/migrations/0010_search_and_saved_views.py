"""The search index and saved views."""

from __future__ import annotations

import uuid
from typing import ClassVar

import django.contrib.postgres.search
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.clock

SEARCH = """
CREATE TABLE telemetry_search (
  project_id bigint NOT NULL,
  trace_id bytea NOT NULL,
  span_id bytea NOT NULL,
  started_at timestamptz NOT NULL,
  words tsvector NOT NULL,
  CONSTRAINT telemetry_search_key PRIMARY KEY (project_id, trace_id, span_id, started_at)
) PARTITION BY RANGE (started_at);
CREATE INDEX telemetry_search_words ON telemetry_search USING gin (words) WITH (gin_pending_list_limit = 1024);
"""

# Days that hold spans already get their part of the index, and their spans wait to be indexed like new ones.
DAYS = """
DO $$
DECLARE
  part record;
BEGIN
  FOR part IN
    SELECT right(inhrelid::regclass::text, 8) AS day FROM pg_inherits WHERE inhparent = 'telemetry_span'::regclass
  LOOP
    EXECUTE format(
      'CREATE TABLE telemetry_search_%s PARTITION OF telemetry_search FOR VALUES FROM (%L) TO (%L)',
      part.day,
      (to_date(part.day, 'YYYYMMDD'))::timestamp AT TIME ZONE 'UTC',
      (to_date(part.day, 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'
    );
  END LOOP;
END $$
"""
WAITING = """
INSERT INTO telemetry_fresh (project_id, at, trace_ids, span_ids, started_ats)
SELECT project_id, now(), array_agg(trace_id), array_agg(span_id), array_agg(started_at) FROM (
  SELECT project_id, trace_id, span_id, started_at,
    row_number() OVER (PARTITION BY project_id ORDER BY started_at DESC) / 500 AS part
  FROM telemetry_span
) AS held
GROUP BY project_id, part ORDER BY project_id, part
"""


class Migration(migrations.Migration):
    """The search index and saved views."""

    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("telemetry", "0009_retrieval_and_agents"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("projects", "0002_audit_is_append_only"),
    ]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.RunSQL(SEARCH, "DROP TABLE telemetry_search"),
        migrations.RunSQL(DAYS, migrations.RunSQL.noop),
        migrations.RunSQL(WAITING, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="SearchWords",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "project_id",
                        "trace_id",
                        "span_id",
                        "started_at",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("project_id", models.BigIntegerField()),
                ("trace_id", models.BinaryField()),
                ("span_id", models.BinaryField()),
                ("started_at", models.DateTimeField()),
                ("words", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={"db_table": "telemetry_search", "managed": False},
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("page", models.CharField(max_length=16)),
                ("name", models.CharField(max_length=60)),
                ("query", models.CharField(max_length=2000)),
                ("is_shared", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        models.F("project"),
                        models.F("owner"),
                        models.F("page"),
                        models.F("name"),
                        name="telemetry_saved_view_name_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("page__in", ["traces", "sessions", "users"])),
                        name="telemetry_saved_view_page_known",
                    ),
                ],
            },
        ),
    ]
