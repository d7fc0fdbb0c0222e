"""Retention, masking, and receipts of erasures."""

from __future__ import annotations

import uuid
from typing import ClassVar

import django.contrib.postgres.fields
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    """Three small tables."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0007_review_queue")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="MaskingSettings",
            fields=[
                ("project_id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("own", models.JSONField(default=list)),
                ("capture", models.TextField(default="on")),
                ("hashes_users", models.BooleanField(default=False)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(capture__in=("on", "hashed", "off")), name="telemetry_masking_capture_known"
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="RetentionSettings",
            fields=[
                ("project_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("payload_days", models.PositiveIntegerField(null=True)),
                ("cost_days", models.PositiveIntegerField(null=True)),
                ("score_days", models.PositiveIntegerField(null=True)),
                ("account_days", models.PositiveIntegerField(null=True)),
                ("spans_since", models.DateTimeField(null=True)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("project_id", models.BigIntegerField()),
                ("user_digest", models.BinaryField()),
                ("sealed_user", models.TextField()),
                ("requested_by", models.TextField()),
                ("requested_by_kind", models.TextField()),
                ("requested_at", models.DateTimeField(default=apps.core.clock.now)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("leased_until", models.DateTimeField(null=True)),
                ("counts", models.JSONField(default=dict)),
                ("first_at", models.DateTimeField(null=True)),
                ("last_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["project_id", "-id"], name="telemetry_erasure_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(finished_at=None),
                        fields=("project_id", "user_digest"),
                        name="telemetry_erasure_open_once",
                    )
                ],
            },
        ),
    ]
