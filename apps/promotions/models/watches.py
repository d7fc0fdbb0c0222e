"""What went live is watched for a while."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.projects.models import Project
from apps.promotions.models.promotions import Promotion
from apps.promotions.models.rollbacks import Rollback
from apps.promotions.types import WatchState
from apps.prompts.models import Deployment


class Watch(models.Model):
    """Guardrails on one deployment against the version before it."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, null=True, related_name="watches")
    deployment = models.OneToOneField(Deployment, on_delete=models.CASCADE, related_name="watch")
    before = models.ForeignKey(Deployment, on_delete=models.SET_NULL, null=True, related_name="+")
    state = models.CharField(max_length=16, default=WatchState.WATCHING.value)
    guardrails = models.JSONField()
    rolls_back = models.BooleanField(default=False)
    started_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    looked_at = models.DateTimeField(null=True)
    # The newest figures: each guardrail with both sides, as `guardrails.Report.as_dict` wrote them.
    figures = models.JSONField(default=dict)
    breached_at = models.DateTimeField(null=True)
    breach = models.TextField(blank=True)
    rollback = models.ForeignKey(Rollback, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(state__in=[one.value for one in WatchState]), name="promotions_watch_state_known"
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["looked_at"],
                condition=Q(state=WatchState.WATCHING.value),
                name="promotions_watch_open",
            )
        ]
