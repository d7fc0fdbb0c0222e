"""Facts of retrievals, of agents' tasks and of tool runs, with what they add up to."""

from __future__ import annotations

from typing import ClassVar

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """Five new tables. What is stored already gets its facts when its traces are looked through again."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0008_retention_and_masking")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="AgentTask",
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
                ("day", models.DateField()),
                ("environment", models.TextField()),
                ("feature", models.TextField()),
                ("service", models.TextField()),
                ("name", models.TextField()),
                ("error_type", models.TextField()),
                ("latency_ms", models.BigIntegerField(null=True)),
                ("model", models.TextField()),
                ("prompt_name", models.TextField()),
                ("prompt_version", models.TextField()),
                ("outcome", models.TextField(null=True)),
                ("steps", models.IntegerField()),
                ("model_calls", models.IntegerField()),
                ("tool_runs", models.IntegerField()),
                ("tools", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("handoffs", models.IntegerField()),
                ("loop", models.TextField(null=True)),
                ("depth", models.IntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("cost_usd", models.DecimalField(decimal_places=24, max_digits=46, null=True)),
                ("unpriced_calls", models.IntegerField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["project_id", "started_at"], name="telemetry_agenttask_time"),
                    models.Index(fields=["project_id", "feature", "started_at"], name="telemetry_agenttask_feature"),
                    models.Index(
                        condition=models.Q(("outcome__in", ["failure", "timeout"])),
                        fields=["project_id", "started_at"],
                        name="telemetry_agenttask_bad",
                    ),
                    models.Index(
                        condition=models.Q(("loop__gt", "")),
                        fields=["project_id", "started_at"],
                        name="telemetry_agenttask_loop",
                    ),
                    models.Index(fields=["project_id", "day", "-steps"], name="telemetry_agenttask_long"),
                ],
            },
        ),
        migrations.CreateModel(
            name="FactMark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("project_id", models.BigIntegerField()),
                ("hours", models.SmallIntegerField()),
                ("start", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["project_id", "start"], name="telemetry_factmark_start")],
            },
        ),
        migrations.CreateModel(
            name="FactSummary",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("project_id", models.BigIntegerField()),
                ("subject", models.TextField()),
                ("hours", models.SmallIntegerField()),
                ("slice", models.TextField()),
                ("start", models.DateTimeField()),
                ("environment", models.TextField()),
                ("feature", models.TextField()),
                ("name", models.TextField()),
                ("counts", django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ("cost_usd", models.DecimalField(decimal_places=24, max_digits=46, null=True)),
                ("histograms", django.contrib.postgres.fields.ArrayField(base_field=models.BinaryField(), size=None)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        models.F("project_id"),
                        models.F("subject"),
                        models.F("hours"),
                        models.F("slice"),
                        models.F("start"),
                        models.F("environment"),
                        models.F("feature"),
                        models.F("name"),
                        name="telemetry_fact_summary_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Retrieval",
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
                ("day", models.DateField()),
                ("environment", models.TextField()),
                ("feature", models.TextField()),
                ("service", models.TextField()),
                ("name", models.TextField()),
                ("error_type", models.TextField()),
                ("latency_ms", models.BigIntegerField(null=True)),
                ("kind", models.TextField()),
                ("model", models.TextField()),
                ("prompt_name", models.TextField()),
                ("prompt_version", models.TextField()),
                ("failed", models.BooleanField()),
                ("chunks", models.IntegerField(null=True)),
                ("top_score", models.FloatField(null=True)),
                ("mean_score", models.FloatField(null=True)),
                ("low_score", models.FloatField(null=True)),
                ("reranked", models.IntegerField(null=True)),
                ("score_before", models.FloatField(null=True)),
                ("score_after", models.FloatField(null=True)),
                ("mean_shift", models.FloatField(null=True)),
                ("changed_top3", models.IntegerField(null=True)),
                ("utilisation", models.FloatField(null=True)),
                ("utilisation_method", models.TextField()),
                ("index_age_s", models.BigIntegerField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["project_id", "started_at"], name="telemetry_retrieval_time"),
                    models.Index(fields=["project_id", "feature", "started_at"], name="telemetry_retrieval_feature"),
                    models.Index(
                        condition=models.Q(("chunks", 0), ("kind", "retriever")),
                        fields=["project_id", "started_at"],
                        name="telemetry_retrieval_empty",
                    ),
                    models.Index(
                        condition=models.Q(("kind", "retriever"), ("top_score__isnull", False)),
                        fields=["project_id", "day", "top_score"],
                        name="telemetry_retrieval_score",
                    ),
                    models.Index(
                        condition=models.Q(("kind", "retriever"), ("utilisation__isnull", False)),
                        fields=["project_id", "day", "utilisation"],
                        name="telemetry_retrieval_use",
                    ),
                    models.Index(
                        condition=models.Q(("kind", "retriever"), ("latency_ms__isnull", False)),
                        fields=["project_id", "day", "-latency_ms"],
                        name="telemetry_retrieval_slow",
                    ),
                    models.Index(
                        condition=models.Q(("index_age_s__isnull", False)),
                        fields=["project_id", "name", "-started_at"],
                        name="telemetry_retrieval_age",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ToolRun",
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
                ("day", models.DateField()),
                ("environment", models.TextField()),
                ("feature", models.TextField()),
                ("service", models.TextField()),
                ("name", models.TextField()),
                ("error_type", models.TextField()),
                ("latency_ms", models.BigIntegerField(null=True)),
                ("agent_name", models.TextField()),
                ("outcome", models.TextField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["project_id", "started_at"], name="telemetry_toolrun_time")],
            },
        ),
    ]
