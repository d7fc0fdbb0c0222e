"""Online evals: production calls that are sampled and scored."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.evals.models.scorers import ScorerVersion
from apps.projects.models import Project


class OnlineEval(models.Model):
    """Which calls are scored, how many of them, and by what. `filters` are {"feature", "environment", "model",
    "prompt_name"}, any of them; `seen_until` is how far the calls were looked through, by when they arrived."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="online_evals")
    name = models.CharField(max_length=200)
    filters = models.JSONField(default=dict)
    percent = models.DecimalField(max_digits=6, decimal_places=3)
    most_a_day = models.PositiveIntegerField(default=500)
    budget_usd_a_day = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    is_on = models.BooleanField(default=True)
    seen_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "name"], name="evals_online_name_once"),
            models.CheckConstraint(condition=Q(percent__gt=0, percent__lte=100), name="evals_online_percent_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class OnlineScorer(models.Model):
    """A scorer of an online eval, pinned to a version."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    online_eval = models.ForeignKey(OnlineEval, on_delete=models.CASCADE, related_name="scorers")
    version = models.ForeignKey(ScorerVersion, on_delete=models.RESTRICT, related_name="+")
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["online_eval", "version"], name="evals_online_scorer_once")
        ]

    def __str__(self) -> str:
        return f"scorer {self.position}"


class OnlineItem(models.Model):
    """One call that was sampled, and what became of it with one scorer; `reason` says why there is no score."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    online_eval = models.ForeignKey(OnlineEval, on_delete=models.CASCADE, related_name="items")
    scorer = models.ForeignKey(OnlineScorer, on_delete=models.CASCADE, related_name="+")
    trace_id = models.CharField(max_length=32)
    span_id = models.CharField(max_length=16)
    call_at = models.DateTimeField()
    day = models.DateField()
    state = models.CharField(max_length=16, default="waiting")
    tries = models.PositiveSmallIntegerField(default=0)
    value = models.FloatField(null=True)
    reason = models.CharField(max_length=64, blank=True)
    sentence = models.TextField(blank=True)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    made_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scorer", "trace_id", "span_id"], name="evals_online_item_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["online_eval", "state"], condition=Q(state="waiting"), name="evals_online_waiting"),
            models.Index(fields=["online_eval", "day"], name="evals_online_day"),
        ]

    def __str__(self) -> str:
        return f"item {self.pk}"


class OnlineTally(models.Model):
    """How many calls of a day matched an online eval, and how many of them were sampled."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    online_eval = models.ForeignKey(OnlineEval, on_delete=models.CASCADE, related_name="tallies")
    day = models.DateField()
    matched = models.PositiveIntegerField(default=0)
    sampled = models.PositiveIntegerField(default=0)
    # Sampled, but beyond the most of the day or its budget.
    left_out = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["online_eval", "day"], name="evals_online_tally_once")
        ]

    def __str__(self) -> str:
        return f"{self.day}"
