"""Requests that started a run and may come again."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from apps.core import clock
from apps.evals.models.runs import EvalRun
from apps.projects.models import Project


class RunRequest(models.Model):
    """An `Idempotency-Key` of a request that started a run: sent again, the same request finds the same run.

    `body_hash` is over what was asked for. `run` is null only within the transaction that makes both.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    run = models.ForeignKey(EvalRun, on_delete=models.CASCADE, null=True, related_name="+")
    made_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "key"], name="evals_run_request_once")
        ]

    def __str__(self) -> str:
        return self.key
