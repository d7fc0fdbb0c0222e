"""Scores."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Scores."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0005_calls_are_counted_once")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="Score",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "project_id", "score_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("project_id", models.BigIntegerField()),
                ("score_id", models.UUIDField()),
                ("trace_id", models.BinaryField(null=True)),
                ("span_id", models.BinaryField(null=True)),
                ("session_id", models.TextField()),
                ("name", models.TextField()),
                ("data_type", models.TextField()),
                ("value", models.FloatField(null=True)),
                ("label", models.TextField()),
                ("comment", models.TextField()),
                ("user_id", models.TextField()),
                ("source", models.TextField()),
                ("at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("digest", models.BinaryField()),
                ("environment", models.TextField()),
                ("feature", models.TextField()),
                ("provider", models.TextField()),
                ("model", models.TextField()),
                ("prompt_version", models.TextField()),
                ("call_source", models.TextField()),
                ("placed_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["project_id", "at", "score_id"], name="telemetry_score_at"),
                    models.Index(fields=["project_id", "name", "at"], name="telemetry_score_name"),
                    models.Index(
                        condition=models.Q(("trace_id__isnull", False)),
                        fields=["project_id", "trace_id"],
                        name="telemetry_score_trace",
                    ),
                    models.Index(
                        condition=models.Q(("session_id", ""), _negated=True),
                        fields=["project_id", "session_id"],
                        name="telemetry_score_session",
                    ),
                    models.Index(
                        condition=models.Q(("trace_id__isnull", True)),
                        fields=["project_id", "span_id"],
                        name="telemetry_score_span_alone",
                    ),
                    models.Index(
                        condition=models.Q(("placed_at__isnull", True)),
                        fields=["project_id", "received_at"],
                        name="telemetry_score_unplaced",
                    ),
                ],
            },
        ),
    ]
