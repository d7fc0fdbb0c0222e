"""Gates: the conditions a candidate must meet, and the frozen verdicts."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from apps.core import clock
from apps.evals.models.sets import EvalSet
from apps.projects.models import Project


class Gate(models.Model):
    """The conditions that a run over an eval set must meet, and the scorers that such a run uses.

    `config` is what `gating.read_config` gave back, complete; `config_hash` is over it. Each change is in the audit
    trail, and a report keeps the conditions it judged by.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="gates")
    slug = models.CharField(max_length=100)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    eval_set = models.ForeignKey(EvalSet, on_delete=models.RESTRICT, related_name="gates")
    feature = models.CharField(max_length=128, blank=True)
    config = models.JSONField()
    config_hash = models.CharField(max_length=64)
    is_sample = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField(default=clock.now)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "slug"], name="evals_gate_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class GateReport(models.Model):
    """A gate's verdict over one run, frozen with its numbers. The database refuses to change it.

    `bound_to` are the hashes it holds for: version content, revision, scorers, model, parameters, conditions.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    gate = models.ForeignKey(Gate, on_delete=models.CASCADE, related_name="reports")
    run = models.ForeignKey("EvalRun", on_delete=models.CASCADE, related_name="gate_reports")
    baseline = models.ForeignKey("EvalRun", on_delete=models.CASCADE, null=True, related_name="+")
    verdict = models.CharField(max_length=16)
    conditions = models.JSONField()
    config = models.JSONField()
    bound_to = models.JSONField()
    actor_name = models.CharField(max_length=254)
    made_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["gate", "-made_at"], name="evals_report_gate"),
            models.Index(fields=["run"], name="evals_report_run"),
        ]

    def __str__(self) -> str:
        return f"{self.gate}: {self.verdict}"
