"""Spend budgets and what was told of them."""

import uuid
from typing import ClassVar

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

import apps.core.clock


class Migration(migrations.Migration):
    """Spend budgets and what was told of them."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = [("projects", "0002_audit_is_append_only")]
    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=120)),
                ("period", models.CharField(max_length=8)),
                ("amount_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                ("is_hard", models.BooleanField(default=False)),
                (
                    "thresholds",
                    django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), size=None),
                ),
                ("environment", models.CharField(blank=True, max_length=64)),
                ("feature", models.CharField(blank=True, max_length=128)),
                ("provider", models.CharField(blank=True, max_length=64)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("source", models.CharField(blank=True, max_length=64)),
                ("user_id", models.CharField(blank=True, max_length=256)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("created_by", models.CharField(blank=True, max_length=254)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
                ("archived_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BudgetAlert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period_on", models.DateField()),
                ("kind", models.CharField(max_length=16)),
                ("threshold", models.PositiveSmallIntegerField()),
                ("amount_usd", models.DecimalField(decimal_places=6, max_digits=20)),
                ("spent_usd", models.DecimalField(decimal_places=24, max_digits=46)),
                ("unpriced_calls", models.BigIntegerField(default=0)),
                ("crosses_on", models.DateField(null=True)),
                ("at", models.DateTimeField(default=apps.core.clock.now)),
                ("rearmed_at", models.DateTimeField(null=True)),
                (
                    "budget",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="alerts", to="budgets.budget"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BudgetLook",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="budgets_look_is_one")],
            },
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_usd__gt", 0)), name="budgets_budget_amount_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("period__in", ["day", "month"])), name="budgets_budget_period_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                condition=models.Q(("archived_at", None)), fields=("project", "name"), name="budgets_budget_name_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetalert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("rearmed_at", None)),
                fields=("budget", "period_on", "kind", "threshold"),
                name="budgets_alert_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetalert",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["threshold", "forecast"])), name="budgets_alert_kind_known"
            ),
        ),
    ]
