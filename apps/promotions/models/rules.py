"""Release rules: what a candidate must show before it is live in a protected environment."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.evals.models import Gate
from apps.projects.models import Environment, Project
from apps.prompts.models import Prompt


class ReleaseRule(models.Model):
    """The gates, the number of approvals and the guardrails for one prompt, one feature, or everything in an
    environment. The most particular rule counts: the prompt's, else its feature's, else the environment's.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, null=True, related_name="release_rules")
    feature = models.CharField(max_length=128, blank=True)
    gates = models.ManyToManyField(Gate, related_name="release_rules")
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    # A version that a merge in git brought asks for its promotion by itself.
    asks_on_merge = models.BooleanField(default=False)
    # Since when it does; what was merged before is not asked for.
    asks_since = models.DateTimeField(null=True)
    # What is watched after something went live, as `guardrails.read_config` gave it back; empty for the usual.
    guardrails = models.JSONField(default=dict)
    rolls_back = models.BooleanField(default=False)
    watch_hours = models.PositiveSmallIntegerField(default=24)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["environment", "prompt", "feature"],
                name="promotions_rule_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(approvals_needed__gte=1, approvals_needed__lte=5), name="promotions_rule_approvals"
            ),
            models.CheckConstraint(condition=Q(prompt=None) | Q(feature=""), name="promotions_rule_prompt_or_feature"),
            models.CheckConstraint(
                condition=Q(watch_hours__gte=1, watch_hours__lte=168), name="promotions_rule_watch_hours"
            ),
        ]

    def __str__(self) -> str:
        what = self.prompt.name if self.prompt else self.feature or "everything"
        return f"{what} in {self.environment.slug}"
