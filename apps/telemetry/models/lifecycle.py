"""What is kept of telemetry, how long, and what was erased on request."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.core import clock


class MaskingSettings(models.Model):
    """What a project has taken out of its telemetry before it is stored (`apps.telemetry.masking`). No row: nothing."""

    project_id = models.BigIntegerField(primary_key=True)
    kinds = ArrayField(models.TextField(), default=list)
    own: models.JSONField[Any, Any] = models.JSONField(default=list)
    """Own rules in the order in which they are tried: `[{"name": ..., "pattern": ...}]`."""
    capture = models.TextField(default="on")
    hashes_users = models.BooleanField(default=False)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(capture__in=("on", "hashed", "off")), name="telemetry_masking_capture_known"
            )
        ]


class RetentionSettings(models.Model):
    """How many days a project keeps what belongs to its spans; null stands for the rule that `selectors.lifecycle`
    says. Spans themselves have their age at the project.

    Spans that started before `spans_since` may be gone, so cost records from before are not written anew any more.
    """

    project_id = models.BigIntegerField(primary_key=True)
    payload_days = models.PositiveIntegerField(null=True)
    cost_days = models.PositiveIntegerField(null=True)
    score_days = models.PositiveIntegerField(null=True)
    account_days = models.PositiveIntegerField(null=True)
    spans_since = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=clock.now)


class Erasure(models.Model):
    """The erasure of everything that names one user, and the receipt of it, which is kept for good.

    The user's id is sealed in `sealed_user` while the work goes on and is gone with its end; `user_digest` is its keyed
    digest. `leased_until` is set while somebody works on it.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project_id = models.BigIntegerField()
    user_digest = models.BinaryField()
    sealed_user = models.TextField()
    requested_by = models.TextField()
    requested_by_kind = models.TextField()
    requested_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    counts: models.JSONField[Any, Any] = models.JSONField(default=dict)
    first_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["project_id", "user_digest"],
                condition=models.Q(finished_at=None),
                name="telemetry_erasure_open_once",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "-id"], name="telemetry_erasure_newest")
        ]

    def __str__(self) -> str:
        return str(self.uuid)

    @property
    def status(self) -> str:
        """`waiting`, `running` or `finished`."""
        if self.finished_at is not None:
            return "finished"
        return "waiting" if self.started_at is None else "running"

    @property
    def short_digest(self) -> str:
        """The beginning of the user's digest, which tells one receipt from another."""
        return bytes(self.user_digest).hex()[:12]
