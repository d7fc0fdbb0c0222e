"""Files that were uploaded and are not confirmed yet."""

import uuid
from typing import Any, ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

import apps.core.clock


class Migration(migrations.Migration):
    """The table of uploads."""

    dependencies: ClassVar[list[Any]] = [
        ("prompts", "0002_versions_do_not_change"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="ImportJob",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("files", models.JSONField()),
                ("outcome", models.JSONField(null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
            ],
            options={"indexes": [models.Index(fields=["created_at"], name="prompts_import_age")]},
        ),
    ]
