"""What counting exposures needs."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Scores of a subject by their names, and how far an experiment is counted."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("promotions", "0005_experiments")]
    operations: ClassVar[list[Operation]] = [
        migrations.RemoveField(model_name="exposure", name="score"),
        migrations.RemoveField(model_name="exposure", name="scored"),
        migrations.AddField(model_name="exposure", name="scores", field=models.JSONField(default=dict)),
        migrations.CreateModel(
            name="ExperimentCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("planned", models.PositiveIntegerField(null=True)),
                ("swept_until", models.DateTimeField(null=True)),
                ("swept_at", models.DateTimeField(null=True)),
                (
                    "experiment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="count",
                        to="promotions.experiment",
                    ),
                ),
            ],
        ),
    ]
