"""Sample projects."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from apps.projects.models import Project


class SampleLoad(models.Model):
    """How far a sample project is filled. `ends_at` fixes every span of it, so that anybody can go on where another
    stopped. `leased_until` is set while somebody stores a part; `finished_at` once all is stored and rolled up."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="+")
    ends_at = models.DateTimeField()
    calls = models.PositiveIntegerField()
    calls_loaded = models.PositiveIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(calls_loaded__lte=models.F("calls")), name="telemetry_sample_within_calls"
            )
        ]
