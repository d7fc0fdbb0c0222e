"""The review queue with its rules and notes, and what the account of the intake needs for its page."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.clock

STATUSES = [("open", "open"), ("in_review", "in review"), ("done", "done"), ("dismissed", "dismissed")]
VERDICTS = [("good", "good"), ("bad", "bad"), ("unsure", "unsure")]
SOURCES = [("person", "a person"), ("api", "a service"), ("rule", "a rule")]
RULE_KINDS = [
    ("score_below", "a score below a number"),
    ("score_label", "a score with a label"),
    ("error", "a failed call"),
    ("sample", "any trace"),
]
WAITING = models.Q(status__in=("open", "in_review"))


def _number() -> models.BigAutoField[Any, Any]:
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


def _person() -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(
        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
    )


class Migration(migrations.Migration):
    """Small tables, but for the account: its new column is empty, so that adding it is quick."""

    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("telemetry", "0006_scores"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="ReviewRule",
            fields=[
                ("id", _number()),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("project_id", models.BigIntegerField()),
                ("name", models.TextField()),
                ("kind", models.TextField(choices=RULE_KINDS)),
                ("score_name", models.TextField(default="")),
                ("below", models.FloatField(null=True)),
                ("label", models.TextField(default="")),
                ("feature", models.TextField(default="")),
                ("environment", models.TextField(default="")),
                ("percent", models.DecimalField(decimal_places=2, default=100, max_digits=5)),
                ("most_a_day", models.PositiveIntegerField(default=50)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint("project_id", "name", name="telemetry_review_rule_once"),
                    models.CheckConstraint(
                        condition=models.Q(percent__gt=0, percent__lte=100), name="telemetry_review_percent_in_range"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="ReviewLabel",
            fields=[
                ("id", _number()),
                ("project_id", models.BigIntegerField()),
                ("name", models.TextField()),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
            ],
            options={
                "constraints": [models.UniqueConstraint("project_id", "name", name="telemetry_review_label_once")]
            },
        ),
        migrations.CreateModel(
            name="ReviewItem",
            fields=[
                ("id", _number()),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("project_id", models.BigIntegerField()),
                ("trace_id", models.BinaryField()),
                ("span_id", models.BinaryField(default=b"")),
                ("started_at", models.DateTimeField(null=True)),
                ("source", models.TextField(choices=SOURCES)),
                ("reason", models.TextField()),
                ("flagged_by", models.TextField()),
                ("flagged_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "rule",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="telemetry.reviewrule",
                    ),
                ),
                ("name", models.TextField(default="")),
                ("kind", models.TextField(default="")),
                ("feature", models.TextField(default="")),
                ("environment", models.TextField(default="")),
                ("model", models.TextField(default="")),
                ("prompt_version", models.TextField(default="")),
                ("user_id", models.TextField(default="")),
                ("session_id", models.TextField(default="")),
                ("input", models.TextField(null=True)),
                ("output", models.TextField(null=True)),
                ("input_is_json", models.BooleanField(default=False)),
                ("output_is_json", models.BooleanField(default=False)),
                ("status", models.TextField(choices=STATUSES, default="open")),
                ("assignee", _person()),
                ("claimed_at", models.DateTimeField(null=True)),
                ("verdict", models.TextField(blank=True, choices=VERDICTS, default="")),
                ("failure_label", models.TextField(default="")),
                ("correction", models.TextField(default="")),
                ("reviewer", _person()),
                ("reviewer_name", models.TextField(default="")),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["project_id", "trace_id", "span_id"],
                        condition=WAITING,
                        name="telemetry_review_waits_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(status__in=("open", "in_review", "done", "dismissed")),
                        name="telemetry_review_status_known",
                    ),
                    models.CheckConstraint(
                        condition=~models.Q(status="done") | models.Q(verdict__in=("good", "bad", "unsure")),
                        name="telemetry_review_done_has_verdict",
                    ),
                ],
                "indexes": [
                    models.Index(
                        fields=["project_id", "flagged_at", "id"], condition=WAITING, name="telemetry_review_waiting"
                    ),
                    models.Index(fields=["project_id", "decided_at"], name="telemetry_review_decided"),
                    models.Index(fields=["project_id", "trace_id"], name="telemetry_review_trace"),
                    models.Index(fields=["project_id", "user_id"], name="telemetry_review_user"),
                ],
            },
        ),
        migrations.CreateModel(
            name="TraceNote",
            fields=[
                ("id", _number()),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("project_id", models.BigIntegerField()),
                ("trace_id", models.BinaryField()),
                ("span_id", models.BinaryField(default=b"")),
                ("at", models.DateTimeField(default=apps.core.clock.now)),
                ("author", _person()),
                ("author_name", models.TextField()),
                ("text", models.TextField()),
            ],
            options={"indexes": [models.Index(fields=["project_id", "trace_id", "at"], name="telemetry_note_trace")]},
        ),
        migrations.CreateModel(
            name="IntakeRefusal",
            fields=[
                ("id", _number()),
                ("project_id", models.BigIntegerField()),
                ("key_id", models.BigIntegerField()),
                ("hour", models.DateTimeField()),
                ("door", models.TextField()),
                ("code", models.TextField()),
                ("requests", models.BigIntegerField()),
                ("http_status", models.IntegerField()),
                ("client", models.TextField()),
                ("message", models.TextField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        "project_id", "hour", "key_id", "door", "code", name="telemetry_refusal_once"
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="IntakeHour",
            fields=[
                ("id", _number()),
                ("project_id", models.BigIntegerField()),
                ("hour", models.DateTimeField()),
                ("key_id", models.BigIntegerField()),
                ("client", models.TextField()),
                ("requests", models.BigIntegerField()),
                ("received", models.BigIntegerField()),
                ("stored", models.BigIntegerField()),
                ("updated", models.BigIntegerField()),
                ("duplicates", models.BigIntegerField()),
                ("rejected", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
                ("reasons", models.JSONField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint("project_id", "hour", "key_id", "client", name="telemetry_intake_hour_once")
                ]
            },
        ),
        migrations.AddField(model_name="intakebatch", name="reasons", field=models.JSONField(null=True)),
        migrations.AddIndex(
            model_name="intakerejection",
            index=models.Index(fields=["project_id", "code", "at"], name="telemetry_rejection_code"),
        ),
    ]
