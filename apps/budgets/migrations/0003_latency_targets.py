"""Latency targets, the incidents of their budgets and their evidence."""

import uuid
from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from apps.core import clock


class Migration(migrations.Migration):
    """Latency targets, the incidents of their budgets and their evidence."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("budgets", "0002_alert_rules")]
    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="LatencyTarget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("feature", models.CharField(max_length=128)),
                ("environment", models.CharField(max_length=64)),
                ("total_p50_ms", models.PositiveIntegerField(null=True)),
                ("total_p99_ms", models.PositiveIntegerField(null=True)),
                ("ttft_p50_ms", models.PositiveIntegerField(null=True)),
                ("ttft_p99_ms", models.PositiveIntegerField(null=True)),
                ("window_days", models.PositiveSmallIntegerField(default=28)),
                ("created_at", models.DateTimeField(default=clock.now)),
                ("created_by", models.CharField(max_length=254)),
                ("changed_at", models.DateTimeField(default=clock.now)),
                ("removed_at", models.DateTimeField(null=True)),
                ("looked_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LatencyIncident",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("goal", models.CharField(max_length=16)),
                ("speed", models.CharField(max_length=8)),
                ("opened_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("sentence", models.TextField()),
                ("figures", models.JSONField(default=dict)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="incidents",
                        to="budgets.latencytarget",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LatencyEvidence",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("feature", models.CharField(max_length=128)),
                ("environment", models.CharField(max_length=64)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("measured_at", models.DateTimeField()),
                ("measured_by", models.CharField(max_length=254)),
                ("expires_at", models.DateTimeField()),
                ("fingerprint", models.CharField(max_length=64)),
                ("level", models.DecimalField(decimal_places=3, max_digits=4)),
                ("calls", models.PositiveIntegerField()),
                ("figures", models.JSONField()),
                ("goals", models.JSONField()),
                ("verdict", models.CharField(max_length=16)),
                ("prompt_versions", models.JSONField(default=list)),
                ("model_names", models.JSONField(default=list)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="evidence", to="budgets.latencytarget"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="latencytarget",
            constraint=models.UniqueConstraint(
                condition=models.Q(("removed_at", None)),
                fields=("project", "feature", "environment"),
                name="budgets_latency_target_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="latencytarget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("total_p50_ms__isnull", False),
                    ("total_p99_ms__isnull", False),
                    ("ttft_p50_ms__isnull", False),
                    ("ttft_p99_ms__isnull", False),
                    _connector="OR",
                ),
                name="budgets_latency_target_has_goal",
            ),
        ),
        migrations.AddConstraint(
            model_name="latencytarget",
            constraint=models.CheckConstraint(
                condition=models.Q(("window_days__gte", 1), ("window_days__lte", 90)),
                name="budgets_latency_target_window",
            ),
        ),
        migrations.AddIndex(
            model_name="latencyincident",
            index=models.Index(fields=["target", "-opened_at"], name="budgets_latency_incident_new"),
        ),
        migrations.AddConstraint(
            model_name="latencyincident",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("target", "goal", "speed"),
                name="budgets_latency_incident_one_open",
            ),
        ),
        migrations.AddIndex(
            model_name="latencyevidence",
            index=models.Index(fields=["target", "-measured_at"], name="budgets_latency_evidence_new"),
        ),
        migrations.AddIndex(
            model_name="latencyevidence",
            index=models.Index(fields=["project", "feature", "-measured_at"], name="budgets_latency_evidence_of"),
        ),
        migrations.AddConstraint(
            model_name="latencyevidence",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["met", "not_met", "undecided"])),
                name="budgets_latency_evidence_verdict",
            ),
        ),
    ]
