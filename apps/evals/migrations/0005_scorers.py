"""Keys of outside scorers."""

import uuid
from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

import apps.core.clock


class Migration(migrations.Migration):
    """A key is a row of its own, because the versions that name it never change and its sealing does."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("evals", "0004_imports")]

    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="ScorerSecret",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("url", models.CharField(max_length=500)),
                ("sealed_secret", models.TextField()),
                ("made_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "scorer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="secrets", to="evals.scorer"
                    ),
                ),
            ],
        ),
    ]
