"""Scorers, their versions, and how judges agree with people."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from apps.core import clock
from apps.projects.models import Project


class Scorer(models.Model):
    """A named scorer of a project. What it does is in its versions; `head` is the newest of them."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="scorers")
    slug = models.CharField(max_length=100)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    # A name of `scoring.KINDS`; it never changes.
    kind = models.CharField(max_length=64)
    head = models.PositiveIntegerField(default=1)
    is_sample = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "slug"], name="evals_scorer_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class ScorerVersion(models.Model):
    """What a scorer does from this version on. The database refuses to change it.

    `config` is complete: defaults are written out. `pass_mark`: an example passes from this value on, unless the run
    says otherwise.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    scorer = models.ForeignKey(Scorer, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    config = models.JSONField()
    config_hash = models.CharField(max_length=64)
    pass_mark = models.FloatField(default=0.5)
    note = models.TextField(blank=True)
    made_at = models.DateTimeField(default=clock.now)
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scorer", "number"], name="evals_scorer_version_once"),
            models.CheckConstraint(
                condition=models.Q(pass_mark__gte=0, pass_mark__lte=1), name="evals_scorer_pass_mark_in_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scorer.slug}@{self.number}"


class ScorerSecret(models.Model):
    """The sealed key of an outside scorer. Versions name it by its uuid; it goes to `url` and nowhere else, and never
    comes out."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    scorer = models.ForeignKey(Scorer, on_delete=models.CASCADE, related_name="secrets")
    url = models.CharField(max_length=500)
    sealed_secret = models.TextField()
    made_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"a key of {self.scorer}"

    @property
    def place(self) -> str:
        """What the sealed key is bound to: a copy of it in another row does not open."""
        return f"evals_scorersecret:{self.uuid}:secret"


class Calibration(models.Model):
    """A judge set beside people's labels. `figures` are frozen when it ends; `is_licensed` says whether the judge met
    its floor, so that it may gate."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    version = models.ForeignKey(ScorerVersion, on_delete=models.CASCADE, related_name="calibrations")
    name = models.CharField(max_length=200)
    # Where the labels came from: `upload`, `scores` (people's scores of telemetry), `review`.
    labels_from = models.CharField(max_length=16)
    floor_kappa = models.FloatField(default=0.6)
    state = models.CharField(max_length=16, default="queued")
    error = models.TextField(blank=True)
    items_total = models.PositiveIntegerField(default=0)
    figures = models.JSONField(null=True)
    is_licensed = models.BooleanField(default=False)
    spent_usd = models.DecimalField(max_digits=20, decimal_places=12, default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    actor_name = models.CharField(max_length=254)
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "created_at"], name="evals_calibration_project"),
            models.Index(
                fields=["lease_until"],
                condition=models.Q(state__in=("queued", "running")),
                name="evals_calibration_due",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CalibrationItem(models.Model):
    """One answer (or pair of answers) with what people and the judge said of it. `case` has the fields of Case."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    calibration = models.ForeignKey(Calibration, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    case = models.JSONField()
    # What each person said, one label a person.
    human_labels = models.JSONField()
    state = models.CharField(max_length=16, default="waiting")
    judge_label = models.CharField(max_length=200, blank=True)
    judge_value = models.FloatField(null=True)
    reason = models.TextField(blank=True)
    details = models.JSONField(default=dict)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=12, null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["calibration", "position"], name="evals_calibration_item_once")
        ]

    def __str__(self) -> str:
        return f"item {self.position}"
