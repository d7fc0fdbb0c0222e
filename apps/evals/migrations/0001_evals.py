"""Eval sets, scorers, runs, comparisons, gates, and online evals."""

import uuid

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("projects", "0002_audit_is_append_only"),
        ("prompts", "0004_git"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EvalSet",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("slug", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True)),
                ("feature", models.CharField(blank=True, max_length=128)),
                ("input_schema", models.JSONField(blank=True, null=True)),
                ("expected_schema", models.JSONField(blank=True, null=True)),
                ("minimum_examples", models.PositiveIntegerField(default=100)),
                ("minimum_per_slice", models.PositiveIntegerField(default=10)),
                ("fresh_days", models.PositiveIntegerField(default=180)),
                ("head", models.PositiveIntegerField(default=0)),
                ("is_sample", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("created_by", models.CharField(max_length=254)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
                ("archived_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="eval_sets", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Example",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("key", models.CharField(max_length=200)),
                ("since", models.PositiveIntegerField()),
                ("until", models.PositiveIntegerField(null=True)),
                ("variables", models.JSONField(default=dict)),
                ("messages", models.JSONField(null=True)),
                ("tools", models.JSONField(null=True)),
                ("expected", models.JSONField(null=True)),
                ("context", models.JSONField(default=list)),
                ("metadata", models.JSONField(default=dict)),
                (
                    "slices",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=100), blank=True, default=list, size=None
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("draft", "draft"), ("approved", "approved"), ("rejected", "rejected")],
                        default="draft",
                        max_length=16,
                    ),
                ),
                ("content_hash", models.CharField(max_length=64)),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("person", "person"),
                            ("api", "api"),
                            ("import", "import"),
                            ("trace", "trace"),
                            ("review", "review"),
                            ("playground", "playground"),
                            ("sample", "sample"),
                        ],
                        max_length=16,
                    ),
                ),
                ("trace_id", models.CharField(blank=True, max_length=32)),
                ("span_id", models.CharField(blank=True, max_length=16)),
                ("note", models.TextField(blank=True)),
                ("author_name", models.CharField(max_length=254)),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                ("first_made_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "eval_set",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="examples", to="evals.evalset"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Gate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("slug", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True)),
                ("feature", models.CharField(blank=True, max_length=128)),
                ("config", models.JSONField()),
                ("config_hash", models.CharField(max_length=64)),
                ("is_sample", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("created_by", models.CharField(max_length=254)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
                ("archived_at", models.DateTimeField(null=True)),
                (
                    "eval_set",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="gates", to="evals.evalset"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="gates", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="EvalRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("number", models.PositiveIntegerField()),
                ("name", models.CharField(blank=True, max_length=200)),
                ("kind", models.CharField(choices=[("model", "model"), ("outputs", "outputs")], max_length=16)),
                ("prompt_name", models.CharField(blank=True, max_length=200)),
                ("prompt_version", models.CharField(blank=True, max_length=64)),
                ("content", models.JSONField(null=True)),
                ("content_hash", models.CharField(blank=True, max_length=64)),
                ("model", models.CharField(blank=True, max_length=300)),
                ("provider", models.CharField(blank=True, max_length=100)),
                ("parameters", models.JSONField(default=dict)),
                ("revision", models.PositiveIntegerField()),
                ("revision_hash", models.CharField(max_length=64)),
                ("slices", models.JSONField(default=list)),
                ("with_drafts", models.BooleanField(default=False)),
                ("repetitions", models.PositiveSmallIntegerField(default=1)),
                ("concurrency", models.PositiveSmallIntegerField(default=20)),
                ("budget_usd", models.DecimalField(decimal_places=12, max_digits=20, null=True)),
                ("use_cache", models.BooleanField(default=True)),
                ("feature", models.CharField(blank=True, max_length=128)),
                ("environment", models.CharField(blank=True, max_length=64)),
                ("source", models.CharField(max_length=16)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
                ("estimate", models.JSONField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("finished", "finished"),
                            ("canceled", "canceled"),
                            ("over_budget", "over_budget"),
                            ("failed", "failed"),
                        ],
                        default="queued",
                        max_length=16,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=64)),
                ("sentence", models.TextField(blank=True)),
                ("cancel_asked_at", models.DateTimeField(null=True)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("leases", models.PositiveIntegerField(default=0)),
                ("total", models.PositiveIntegerField(default=0)),
                ("done", models.PositiveIntegerField(default=0)),
                ("failed", models.PositiveIntegerField(default=0)),
                ("from_cache", models.PositiveIntegerField(default=0)),
                ("calls", models.PositiveIntegerField(default=0)),
                ("spent_usd", models.DecimalField(decimal_places=12, default=0, max_digits=20)),
                ("judge_spent_usd", models.DecimalField(decimal_places=12, default=0, max_digits=20)),
                ("unpriced_calls", models.PositiveIntegerField(default=0)),
                ("summary", models.JSONField(null=True)),
                ("is_sample", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="eval_runs", to="projects.project"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="prompts.version"
                    ),
                ),
                (
                    "eval_set",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="runs", to="evals.evalset"
                    ),
                ),
                (
                    "gate",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="runs", to="evals.gate"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GateReport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("verdict", models.CharField(max_length=16)),
                ("conditions", models.JSONField()),
                ("config", models.JSONField()),
                ("bound_to", models.JSONField()),
                ("actor_name", models.CharField(max_length=254)),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "baseline",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.evalrun"
                    ),
                ),
                (
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="reports", to="evals.gate"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="gate_reports", to="evals.evalrun"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OnlineEval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=200)),
                ("filters", models.JSONField(default=dict)),
                ("percent", models.DecimalField(decimal_places=3, max_digits=6)),
                ("most_a_day", models.PositiveIntegerField(default=500)),
                ("budget_usd_a_day", models.DecimalField(decimal_places=12, max_digits=20, null=True)),
                ("is_on", models.BooleanField(default=True)),
                ("seen_until", models.DateTimeField(null=True)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("created_by", models.CharField(max_length=254)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="online_evals", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OnlineScorer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "online_eval",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scorers", to="evals.onlineeval"
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
                "ordering": ["position"],
            },
        ),
        migrations.CreateModel(
            name="OnlineItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("trace_id", models.CharField(max_length=32)),
                ("span_id", models.CharField(max_length=16)),
                ("call_at", models.DateTimeField()),
                ("day", models.DateField()),
                ("state", models.CharField(default="waiting", max_length=16)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("value", models.FloatField(null=True)),
                ("reason", models.CharField(blank=True, max_length=64)),
                ("sentence", models.TextField(blank=True)),
                ("cost_usd", models.DecimalField(decimal_places=12, max_digits=20, null=True)),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "online_eval",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="items", to="evals.onlineeval"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "scorer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.onlinescorer"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OnlineTally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("matched", models.PositiveIntegerField(default=0)),
                ("sampled", models.PositiveIntegerField(default=0)),
                ("left_out", models.PositiveIntegerField(default=0)),
                (
                    "online_eval",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tallies", to="evals.onlineeval"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Pace",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("connection", models.CharField(max_length=200)),
                ("paused_until", models.DateTimeField(null=True)),
                ("requests_per_minute", models.PositiveIntegerField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Result",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("repetition", models.PositiveSmallIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("calling", "calling"),
                            ("answered", "answered"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("canceled", "canceled"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("output", models.TextField(blank=True)),
                ("tool_calls", models.JSONField(default=list)),
                ("steps", models.JSONField(default=list)),
                ("finish_reason", models.CharField(blank=True, max_length=64)),
                ("response_model", models.CharField(blank=True, max_length=200)),
                ("ttft_ms", models.PositiveIntegerField(null=True)),
                ("latency_ms", models.PositiveIntegerField(null=True)),
                ("input_tokens", models.BigIntegerField(null=True)),
                ("output_tokens", models.BigIntegerField(null=True)),
                ("cost_usd", models.DecimalField(decimal_places=12, max_digits=20, null=True)),
                ("is_from_cache", models.BooleanField(default=False)),
                ("error_code", models.CharField(blank=True, max_length=64)),
                ("error", models.TextField(blank=True)),
                ("trace_id", models.CharField(blank=True, max_length=32)),
                ("span_id", models.CharField(blank=True, max_length=16)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("value", models.FloatField(null=True)),
                ("is_passed", models.BooleanField(null=True)),
                (
                    "example",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.example"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="results", to="evals.evalrun"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Revision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
                ("note", models.TextField(blank=True)),
                ("added", models.PositiveIntegerField(default=0)),
                ("changed", models.PositiveIntegerField(default=0)),
                ("removed", models.PositiveIntegerField(default=0)),
                ("examples", models.PositiveIntegerField()),
                ("approved", models.PositiveIntegerField()),
                ("content_hash", models.CharField(max_length=64)),
                (
                    "eval_set",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="revisions", to="evals.evalset"
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
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="RunScorer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField()),
                ("slug", models.CharField(max_length=100)),
                ("kind", models.CharField(max_length=64)),
                ("threshold", models.FloatField()),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scorers", to="evals.evalrun"
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
            },
        ),
        migrations.CreateModel(
            name="ResultScore",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[("scored", "scored"), ("not_scored", "not_scored"), ("error", "error")], max_length=16
                    ),
                ),
                ("value", models.FloatField(null=True)),
                ("label", models.CharField(blank=True, max_length=200)),
                ("reason", models.TextField(blank=True)),
                ("details", models.JSONField(default=dict)),
                ("cost_usd", models.DecimalField(decimal_places=12, max_digits=20, null=True)),
                ("trace_id", models.CharField(blank=True, max_length=32)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "result",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scores", to="evals.result"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.evalrun"
                    ),
                ),
                (
                    "scorer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scores", to="evals.runscorer"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Scorer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("slug", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True)),
                ("kind", models.CharField(max_length=64)),
                ("head", models.PositiveIntegerField(default=1)),
                ("is_sample", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("created_by", models.CharField(max_length=254)),
                ("archived_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="scorers", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ScorerVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("config", models.JSONField()),
                ("config_hash", models.CharField(max_length=64)),
                ("pass_mark", models.FloatField(default=0.5)),
                ("note", models.TextField(blank=True)),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "scorer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="versions", to="evals.scorer"
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.AddField(
            model_name="runscorer",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="evals.scorerversion"
            ),
        ),
        migrations.AddField(
            model_name="onlinescorer",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="evals.scorerversion"
            ),
        ),
        migrations.CreateModel(
            name="Calibration",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=200)),
                ("labels_from", models.CharField(max_length=16)),
                ("floor_kappa", models.FloatField(default=0.6)),
                ("state", models.CharField(default="queued", max_length=16)),
                ("error", models.TextField(blank=True)),
                ("items_total", models.PositiveIntegerField(default=0)),
                ("figures", models.JSONField(null=True)),
                ("is_licensed", models.BooleanField(default=False)),
                ("spent_usd", models.DecimalField(decimal_places=12, default=0, max_digits=20)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("actor_name", models.CharField(max_length=254)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="calibrations",
                        to="evals.scorerversion",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="SetImport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("actor_name", models.CharField(max_length=254)),
                ("filename", models.CharField(max_length=255)),
                ("format", models.CharField(max_length=16)),
                ("mapping", models.JSONField(default=dict)),
                ("state", models.CharField(default="reading", max_length=16)),
                ("rows", models.PositiveIntegerField(default=0)),
                ("counts", models.JSONField(default=dict)),
                ("problems", models.JSONField(default=list)),
                ("revision", models.PositiveIntegerField(null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "author",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "eval_set",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.evalset"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StagedExample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("row", models.PositiveIntegerField()),
                ("key", models.CharField(max_length=200)),
                ("example", models.JSONField()),
                ("content_hash", models.CharField(max_length=64)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "upload",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="staged", to="evals.setimport"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CachedAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64)),
                ("reply", models.JSONField()),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["made_at"], name="evals_cached_answer_age")],
                "constraints": [models.UniqueConstraint(fields=("project", "key"), name="evals_cached_answer_once")],
            },
        ),
        migrations.CreateModel(
            name="CalibrationItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveIntegerField()),
                ("case", models.JSONField()),
                ("human_labels", models.JSONField()),
                ("state", models.CharField(default="waiting", max_length=16)),
                ("judge_label", models.CharField(blank=True, max_length=200)),
                ("judge_value", models.FloatField(null=True)),
                ("reason", models.TextField(blank=True)),
                ("details", models.JSONField(default=dict)),
                ("cost_usd", models.DecimalField(decimal_places=12, max_digits=20, null=True)),
                (
                    "calibration",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="items", to="evals.calibration"
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
                    models.UniqueConstraint(fields=("calibration", "position"), name="evals_calibration_item_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Comparison",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("settings_hash", models.CharField(max_length=64)),
                ("outcome", models.JSONField()),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "baseline",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.evalrun"
                    ),
                ),
                (
                    "candidate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.evalrun"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("candidate", "baseline", "settings_hash"), name="evals_comparison_once"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="evalset",
            constraint=models.UniqueConstraint(fields=("project", "slug"), name="evals_set_slug_once"),
        ),
        migrations.AddIndex(
            model_name="example",
            index=models.Index(
                condition=models.Q(("until__isnull", True)), fields=["eval_set", "id"], name="evals_example_current"
            ),
        ),
        migrations.AddIndex(
            model_name="example",
            index=models.Index(fields=["eval_set", "content_hash"], name="evals_example_hash"),
        ),
        migrations.AddIndex(
            model_name="example",
            index=models.Index(
                condition=models.Q(("trace_id", ""), _negated=True),
                fields=["project", "trace_id"],
                name="evals_example_trace",
            ),
        ),
        migrations.AddIndex(
            model_name="example",
            index=django.contrib.postgres.indexes.GinIndex(fields=["slices"], name="evals_example_slices"),
        ),
        migrations.AddConstraint(
            model_name="example",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until__isnull", True)),
                fields=("eval_set", "key"),
                name="evals_example_one_current",
            ),
        ),
        migrations.AddConstraint(
            model_name="example",
            constraint=models.UniqueConstraint(
                fields=("eval_set", "key", "since"), name="evals_example_once_a_revision"
            ),
        ),
        migrations.AddConstraint(
            model_name="example",
            constraint=models.CheckConstraint(
                condition=models.Q(("until__isnull", True), ("until__gt", models.F("since")), _connector="OR"),
                name="evals_example_ends_after_start",
            ),
        ),
        migrations.AddConstraint(
            model_name="example",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["draft", "approved", "rejected"])), name="evals_example_state_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="gate",
            constraint=models.UniqueConstraint(fields=("project", "slug"), name="evals_gate_slug_once"),
        ),
        migrations.AddIndex(
            model_name="evalrun",
            index=models.Index(fields=["project", "-created_at"], name="evals_run_project"),
        ),
        migrations.AddIndex(
            model_name="evalrun",
            index=models.Index(fields=["eval_set", "-created_at"], name="evals_run_set"),
        ),
        migrations.AddIndex(
            model_name="evalrun",
            index=models.Index(fields=["version"], name="evals_run_version"),
        ),
        migrations.AddIndex(
            model_name="evalrun",
            index=models.Index(
                condition=models.Q(("state__in", ("queued", "running"))), fields=["lease_until"], name="evals_run_due"
            ),
        ),
        migrations.AddConstraint(
            model_name="evalrun",
            constraint=models.UniqueConstraint(fields=("project", "number"), name="evals_run_number_once"),
        ),
        migrations.AddConstraint(
            model_name="evalrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["queued", "running", "finished", "canceled", "over_budget", "failed"])
                ),
                name="evals_run_state_known",
            ),
        ),
        migrations.AddIndex(
            model_name="gatereport",
            index=models.Index(fields=["gate", "-made_at"], name="evals_report_gate"),
        ),
        migrations.AddIndex(
            model_name="gatereport",
            index=models.Index(fields=["run"], name="evals_report_run"),
        ),
        migrations.AddConstraint(
            model_name="onlineeval",
            constraint=models.UniqueConstraint(fields=("project", "name"), name="evals_online_name_once"),
        ),
        migrations.AddConstraint(
            model_name="onlineeval",
            constraint=models.CheckConstraint(
                condition=models.Q(("percent__gt", 0), ("percent__lte", 100)), name="evals_online_percent_in_range"
            ),
        ),
        migrations.AddIndex(
            model_name="onlineitem",
            index=models.Index(
                condition=models.Q(("state", "waiting")), fields=["online_eval", "state"], name="evals_online_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="onlineitem",
            index=models.Index(fields=["online_eval", "day"], name="evals_online_day"),
        ),
        migrations.AddConstraint(
            model_name="onlineitem",
            constraint=models.UniqueConstraint(fields=("scorer", "trace_id", "span_id"), name="evals_online_item_once"),
        ),
        migrations.AddConstraint(
            model_name="onlinetally",
            constraint=models.UniqueConstraint(fields=("online_eval", "day"), name="evals_online_tally_once"),
        ),
        migrations.AddConstraint(
            model_name="pace",
            constraint=models.UniqueConstraint(fields=("project", "connection"), name="evals_pace_once"),
        ),
        migrations.AddIndex(
            model_name="result",
            index=models.Index(fields=["run", "state"], name="evals_result_state"),
        ),
        migrations.AddConstraint(
            model_name="result",
            constraint=models.UniqueConstraint(fields=("run", "example", "repetition"), name="evals_result_once"),
        ),
        migrations.AddConstraint(
            model_name="result",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["waiting", "calling", "answered", "done", "failed", "canceled"])),
                name="evals_result_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="revision",
            constraint=models.UniqueConstraint(fields=("eval_set", "number"), name="evals_revision_number_once"),
        ),
        migrations.AddIndex(
            model_name="resultscore",
            index=models.Index(fields=["run", "scorer"], name="evals_score_run"),
        ),
        migrations.AddConstraint(
            model_name="resultscore",
            constraint=models.UniqueConstraint(fields=("result", "scorer"), name="evals_score_once"),
        ),
        migrations.AddConstraint(
            model_name="resultscore",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "scored"), ("value__gte", 0), ("value__lte", 1)),
                    models.Q(("state__in", ("not_scored", "error")), ("value__isnull", True)),
                    _connector="OR",
                ),
                name="evals_score_value_fits_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="scorer",
            constraint=models.UniqueConstraint(fields=("project", "slug"), name="evals_scorer_slug_once"),
        ),
        migrations.AddConstraint(
            model_name="scorerversion",
            constraint=models.UniqueConstraint(fields=("scorer", "number"), name="evals_scorer_version_once"),
        ),
        migrations.AddConstraint(
            model_name="scorerversion",
            constraint=models.CheckConstraint(
                condition=models.Q(("pass_mark__gte", 0), ("pass_mark__lte", 1)), name="evals_scorer_pass_mark_in_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="runscorer",
            constraint=models.UniqueConstraint(fields=("run", "version"), name="evals_run_scorer_once"),
        ),
        migrations.AddConstraint(
            model_name="onlinescorer",
            constraint=models.UniqueConstraint(fields=("online_eval", "version"), name="evals_online_scorer_once"),
        ),
        migrations.AddIndex(
            model_name="calibration",
            index=models.Index(fields=["project", "created_at"], name="evals_calibration_project"),
        ),
        migrations.AddIndex(
            model_name="calibration",
            index=models.Index(
                condition=models.Q(("state__in", ("queued", "running"))),
                fields=["lease_until"],
                name="evals_calibration_due",
            ),
        ),
        migrations.AddIndex(
            model_name="setimport",
            index=models.Index(fields=["created_at"], name="evals_import_age"),
        ),
        migrations.AddIndex(
            model_name="stagedexample",
            index=models.Index(fields=["upload", "row"], name="evals_staged_row"),
        ),
    ]
