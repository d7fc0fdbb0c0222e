"""The account of the intake."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from apps.core import clock


class IntakeBatch(models.Model):
    """What one request brought and what became of it: received = stored + updated + duplicates + rejected."""

    project_id = models.BigIntegerField()
    key_id = models.BigIntegerField(null=True)
    client = models.TextField()
    at = models.DateTimeField(default=clock.now)
    received = models.IntegerField()
    stored = models.IntegerField()
    updated = models.IntegerField()
    duplicates = models.IntegerField()
    rejected = models.IntegerField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["project_id", "at"], name="telemetry_batch_at")]


class IntakeRejection(models.Model):
    """An item that was not stored: why, and the beginning of it."""

    project_id = models.BigIntegerField()
    key_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(default=clock.now)
    list_name = models.TextField()
    position = models.IntegerField()
    code = models.TextField()
    message = models.TextField()
    sample = models.TextField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "at"], name="telemetry_rejection_at")
        ]
