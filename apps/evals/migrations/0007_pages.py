"""Requests that may come again, and the order in which results are shown."""

from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

from apps.core import clock


class Migration(migrations.Migration):
    """A table, and an index that lists the worst results of a run first."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("evals", "0006_runs")]

    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="RunRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=200)),
                ("body_hash", models.CharField(max_length=64)),
                ("made_at", models.DateTimeField(default=clock.now)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.evalrun"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("project", "key"), name="evals_run_request_once")]
            },
        ),
        migrations.AddIndex(
            model_name="result",
            index=models.Index(
                models.F("run"),
                models.F("is_passed"),
                django.db.models.functions.Coalesce("value", -1.0),
                models.F("id"),
                name="evals_result_worst",
            ),
        ),
    ]
