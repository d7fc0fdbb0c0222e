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
    reasons = models.JSONField(null=True)
    """How many were rejected with which code; null where nothing was."""

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["project_id", "at"], name="telemetry_batch_at")]


class IntakeHour(models.Model):
    """The requests of one hour that is over, added up by key and client; a key of 0 stands for requests without one."""

    project_id = models.BigIntegerField()
    hour = models.DateTimeField()
    key_id = models.BigIntegerField()
    client = models.TextField()
    requests = models.BigIntegerField()
    received = models.BigIntegerField()
    stored = models.BigIntegerField()
    updated = models.BigIntegerField()
    duplicates = models.BigIntegerField()
    rejected = models.BigIntegerField()
    last_at = models.DateTimeField()
    reasons = models.JSONField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint("project_id", "hour", "key_id", "client", name="telemetry_intake_hour_once")
        ]


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
            models.Index(fields=["project_id", "at"], name="telemetry_rejection_at"),
            models.Index(fields=["project_id", "code", "at"], name="telemetry_rejection_code"),
        ]


class IntakeRefusal(models.Model):
    """Requests of one hour that were refused whole, before their items were counted: by key, door and reason."""

    project_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    hour = models.DateTimeField()
    door = models.TextField()
    code = models.TextField()
    requests = models.BigIntegerField()
    http_status = models.IntegerField()
    client = models.TextField()
    message = models.TextField()
    last_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint("project_id", "hour", "key_id", "door", "code", name="telemetry_refusal_once")
        ]
