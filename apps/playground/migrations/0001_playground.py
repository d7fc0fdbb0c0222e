"""Runs of the playground and their answers."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("projects", "0002_audit_is_append_only"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PlaygroundRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("actor_name", models.CharField(max_length=254)),
                (
                    "origin",
                    models.CharField(
                        choices=[("empty", "empty"), ("version", "version"), ("draft", "draft"), ("trace", "trace")],
                        max_length=16,
                    ),
                ),
                ("prompt_name", models.CharField(blank=True, max_length=200)),
                ("prompt_version", models.CharField(blank=True, max_length=64)),
                ("is_edited", models.BooleanField(default=False)),
                ("trace_id", models.CharField(blank=True, max_length=32)),
                ("span_id", models.CharField(blank=True, max_length=16)),
                ("case", models.JSONField()),
                ("messages", models.JSONField()),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "actor",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
            name="PlaygroundAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("column", models.PositiveSmallIntegerField()),
                ("model", models.CharField(max_length=300)),
                ("connection", models.CharField(blank=True, max_length=120)),
                ("provider", models.CharField(blank=True, max_length=64)),
                ("response_model", models.CharField(blank=True, max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="queued",
                        max_length=16,
                    ),
                ),
                ("text", models.TextField(blank=True)),
                ("tool_calls", models.JSONField(default=list)),
                ("finish_reason", models.CharField(blank=True, max_length=64)),
                ("is_complete", models.BooleanField(default=False)),
                ("ttft_ms", models.PositiveIntegerField(null=True)),
                ("total_ms", models.PositiveIntegerField(null=True)),
                ("input_tokens", models.PositiveBigIntegerField(null=True)),
                ("output_tokens", models.PositiveBigIntegerField(null=True)),
                ("cached_input_tokens", models.PositiveBigIntegerField(null=True)),
                ("reasoning_tokens", models.PositiveBigIntegerField(null=True)),
                ("cost_usd", models.DecimalField(decimal_places=18, max_digits=30, null=True)),
                ("error_code", models.CharField(blank=True, max_length=64)),
                ("error", models.TextField(blank=True)),
                ("trace_id", models.CharField(blank=True, max_length=32)),
                ("span_id", models.CharField(blank=True, max_length=16)),
                ("is_traced", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("started_at", models.DateTimeField(null=True)),
                ("deadline_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="answers",
                        to="playground.playgroundrun",
                    ),
                ),
            ],
            options={
                "ordering": ["column"],
            },
        ),
        migrations.AddIndex(
            model_name="playgroundrun",
            index=models.Index(fields=["project", "-created_at"], name="playground_run_newest"),
        ),
        migrations.AddIndex(
            model_name="playgroundrun",
            index=models.Index(fields=["project", "actor", "-created_at"], name="playground_run_of_actor"),
        ),
        migrations.AddConstraint(
            model_name="playgroundrun",
            constraint=models.CheckConstraint(
                condition=models.Q(("origin__in", ["empty", "version", "draft", "trace"])), name="playground_run_origin"
            ),
        ),
        migrations.AddIndex(
            model_name="playgroundanswer",
            index=models.Index(
                condition=models.Q(("state__in", ["queued", "running"])),
                fields=["project", "created_at"],
                name="playground_answer_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="playgroundanswer",
            constraint=models.UniqueConstraint(fields=("run", "column"), name="playground_answer_column_once"),
        ),
        migrations.AddConstraint(
            model_name="playgroundanswer",
            constraint=models.CheckConstraint(
                condition=models.Q(("column__lt", 4)), name="playground_answer_column_in_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="playgroundanswer",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["queued", "running", "done", "failed", "cancelled"])),
                name="playground_answer_state",
            ),
        ),
    ]
