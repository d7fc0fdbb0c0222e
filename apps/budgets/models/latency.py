"""Latency targets, the incidents of their budgets, and the evidence that they are met."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.budgets.latency_goals import FIELDS, Goal, fingerprint, goals_from
from apps.core import clock
from apps.projects.models import Project

MOST_WINDOW_DAYS = 90


class LatencyTarget(models.Model):
    """What a feature promises in an environment. Goals that are not set are null; at least one is set."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    feature = models.CharField(max_length=128)
    environment = models.CharField(max_length=64)
    total_p50_ms = models.PositiveIntegerField(null=True)
    total_p99_ms = models.PositiveIntegerField(null=True)
    ttft_p50_ms = models.PositiveIntegerField(null=True)
    ttft_p99_ms = models.PositiveIntegerField(null=True)
    window_days = models.PositiveSmallIntegerField(default=28)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField(default=clock.now)
    removed_at = models.DateTimeField(null=True)
    # Who moves this on looks at the budget; nobody else does so for that moment.
    looked_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["project", "feature", "environment"],
                condition=Q(removed_at=None),
                name="budgets_latency_target_once",
            ),
            models.CheckConstraint(
                condition=Q(total_p50_ms__isnull=False)
                | Q(total_p99_ms__isnull=False)
                | Q(ttft_p50_ms__isnull=False)
                | Q(ttft_p99_ms__isnull=False),
                name="budgets_latency_target_has_goal",
            ),
            models.CheckConstraint(
                condition=Q(window_days__gte=1, window_days__lte=MOST_WINDOW_DAYS),
                name="budgets_latency_target_window",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feature} in {self.environment}"

    @property
    def goals(self) -> tuple[Goal, ...]:
        """The goals that are set, the total's first."""
        return goals_from({name: getattr(self, name) for name in FIELDS})

    @property
    def fingerprint(self) -> str:
        """What evidence must have been measured for to count."""
        return fingerprint(self.feature, self.environment, self.goals)


class LatencyIncident(models.Model):
    """A budget that burned too fast, from when it was noticed until it was over. Each is told once."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey(LatencyTarget, on_delete=models.CASCADE, related_name="incidents")
    goal = models.CharField(max_length=16)
    speed = models.CharField(max_length=8)
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    sentence = models.TextField()
    # Burn rates and counts of both windows as they were.
    figures = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["target", "goal", "speed"],
                condition=Q(ended_at=None),
                name="budgets_latency_incident_one_open",
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["target", "-opened_at"], name="budgets_latency_incident_new")
        ]


class LatencyEvidence(models.Model):
    """A measured set of calls and what it says of a target. Rows never change; the target's may."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey(LatencyTarget, on_delete=models.CASCADE, related_name="evidence")
    feature = models.CharField(max_length=128)
    # Where the calls were made, which need not be where the target holds.
    environment = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    measured_at = models.DateTimeField()
    measured_by = models.CharField(max_length=254)
    expires_at = models.DateTimeField()
    fingerprint = models.CharField(max_length=64)
    level = models.DecimalField(max_digits=4, decimal_places=3)
    calls = models.PositiveIntegerField()
    # By length: calls, failed, lost, p50 and p99 with their intervals.
    figures = models.JSONField()
    # Each goal with its percentile, interval and verdict.
    goals = models.JSONField()
    verdict = models.CharField(max_length=16)
    prompt_versions = models.JSONField(default=list)
    model_names = models.JSONField(default=list)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(verdict__in=["met", "not_met", "undecided"]), name="budgets_latency_evidence_verdict"
            )
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["target", "-measured_at"], name="budgets_latency_evidence_new"),
            models.Index(fields=["project", "feature", "-measured_at"], name="budgets_latency_evidence_of"),
        ]
