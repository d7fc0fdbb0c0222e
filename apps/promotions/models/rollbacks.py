"""Rollbacks with their stopwatch, and rehearsals of them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.projects.models import Environment, Project
from apps.promotions.types import DrillState, MeasureState
from apps.prompts.models import Deployment, Prompt


class Rollback(models.Model):
    """A return to what was live before, and how long it took to reach the callers.

    `mark` is the project's live mark with the restored version in it: a process that holds this number or a later one
    serves it.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="rollbacks")
    environment = models.ForeignKey(Environment, on_delete=models.RESTRICT, related_name="+")
    # What was live at the click; None when nothing was.
    bad = models.ForeignKey(Deployment, on_delete=models.CASCADE, null=True, related_name="rollbacks_away")
    restored = models.OneToOneField(Deployment, on_delete=models.CASCADE, related_name="rollback")
    is_drill = models.BooleanField(default=False)
    is_automatic = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)
    # The click, by the database's clock, as all times but those of calls are.
    asked_at = models.DateTimeField()
    committed_at = models.DateTimeField(null=True)
    mark = models.BigIntegerField(default=0)
    state = models.CharField(max_length=16, default=MeasureState.MEASURING.value)
    # When each process that served the project at the click had it, as [{"id", "process", "at", "is_lost"}]: `at` is
    # null while it has not, and a lost one was not heard of again. And the last of them.
    processes = models.JSONField(default=list)
    everywhere_at = models.DateTimeField(null=True)
    # From telemetry: the first call with the restored version, and the last one with the bad version.
    first_call_at = models.DateTimeField(null=True)
    last_bad_call_at = models.DateTimeField(null=True)
    bad_calls_after = models.PositiveIntegerField(default=0)
    measured_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(state__in=[one.value for one in MeasureState]), name="promotions_rollback_state_known"
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["prompt", "environment", "-asked_at"], name="promotions_rollback_by_prompt"),
            models.Index(fields=["project", "-asked_at"], name="promotions_rollback_newest"),
            models.Index(
                fields=["asked_at"],
                condition=Q(state=MeasureState.MEASURING.value),
                name="promotions_rollback_measuring",
            ),
        ]


class Drill(models.Model):
    """A rehearsed rollback in an environment that is not protected; its time is evidence."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="drills")
    environment = models.ForeignKey(Environment, on_delete=models.RESTRICT, related_name="+")
    state = models.CharField(max_length=16, default=DrillState.RUNNING.value)
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)
    # What was live before the rehearsal, and is again after it.
    kept = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="+")
    rollback = models.OneToOneField(Rollback, on_delete=models.CASCADE, null=True, related_name="drill")
    target_seconds = models.PositiveIntegerField(default=300)
    seconds = models.FloatField(null=True)
    sentence = models.TextField(blank=True)
    started_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(state__in=[one.value for one in DrillState]), name="promotions_drill_state_known"
            ),
            models.UniqueConstraint(
                fields=["prompt", "environment"],
                condition=Q(state=DrillState.RUNNING.value),
                name="promotions_drill_one_at_a_time",
            ),
        ]
