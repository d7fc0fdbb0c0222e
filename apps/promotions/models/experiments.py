"""Experiments: their arms, who was exposed to which, and every look at the figures."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.projects.models import Environment, Project
from apps.promotions.models.promotions import Promotion
from apps.promotions.types import ExperimentState, Unit
from apps.prompts.models import Prompt, Version


class Experiment(models.Model):
    """Live traffic of a prompt in an environment, split among approved candidates.

    What is served is `prompts.Split`; this is why. Shares are counted in 10,000ths of the subjects.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="experiments")
    slug = models.CharField(max_length=100)
    name = models.CharField(max_length=200)
    hypothesis = models.TextField(blank=True)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="experiments")
    environment = models.ForeignKey(Environment, on_delete=models.RESTRICT, related_name="+")
    state = models.CharField(max_length=16, default=ExperimentState.DRAFT.value)
    unit = models.CharField(max_length=16, default=Unit.USER.value)
    # What a subject is hashed with; it never changes, so that nobody changes sides.
    salt = models.CharField(max_length=64)
    # Experiments of one layer share no subject: each takes its own part, from `layer_from` on.
    layer = models.CharField(max_length=100, blank=True)
    layer_from = models.PositiveIntegerField(default=0)
    # Subjects that never take part.
    excluded = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    # The shares that it goes through, in 10,000ths, and which of them it is at.
    ramp = ArrayField(models.PositiveIntegerField(), default=list)
    step = models.PositiveSmallIntegerField(default=0)
    # As `experiment_config` reads them.
    primary_metric = models.JSONField()
    guardrails = models.JSONField(default=list)
    # Whether it ends by itself when subjects do not fall into the arms as their weights say.
    stops_on_mismatch = models.BooleanField(default=True)
    alpha = models.FloatField(default=0.05)
    minimum_effect = models.FloatField(null=True)
    planned_subjects = models.PositiveIntegerField(null=True)
    winner = models.ForeignKey("ExperimentArm", on_delete=models.SET_NULL, null=True, related_name="+")
    promotion = models.ForeignKey(Promotion, on_delete=models.SET_NULL, null=True, related_name="+")
    stop_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # Telemetry that arrived before this was counted already; None before the first count.
    counted_until = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(null=True)
    is_sample = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "slug"], name="promotions_experiment_slug_once"),
            models.UniqueConstraint(
                fields=["prompt", "environment"],
                condition=Q(state=ExperimentState.RUNNING.value),
                name="promotions_experiment_one_running",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[one.value for one in ExperimentState]),
                name="promotions_experiment_state_known",
            ),
            models.CheckConstraint(
                condition=Q(unit__in=[one.value for one in Unit]), name="promotions_experiment_unit_known"
            ),
            models.CheckConstraint(condition=Q(alpha__gt=0, alpha__lt=1), name="promotions_experiment_alpha_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class ExperimentArm(models.Model):
    """One candidate of an experiment. The control is what was live when the experiment began."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    name = models.CharField(max_length=32)
    position = models.PositiveSmallIntegerField(default=0)
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    model = models.CharField(max_length=300, blank=True)
    # Of 10,000 subjects that take part.
    weight = models.PositiveIntegerField()
    is_control = models.BooleanField(default=False)
    # The approval that lets it be an arm; None for the control and for what was live before.
    promotion = models.ForeignKey(Promotion, on_delete=models.RESTRICT, null=True, related_name="+")

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["experiment", "name"], name="promotions_arm_name_once"),
            models.UniqueConstraint(
                fields=["experiment"], condition=Q(is_control=True), name="promotions_arm_one_control"
            ),
        ]


class Exposure(models.Model):
    """What one subject of an experiment got, added up from the calls in telemetry."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="exposures")
    subject = models.BinaryField(max_length=16)
    arm = models.ForeignKey(ExperimentArm, on_delete=models.CASCADE, related_name="+")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)
    # Calls with another version or model than the arm's: the caller did not use what it was given.
    stray_calls = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=46, decimal_places=24, default=0)
    unpriced = models.PositiveIntegerField(default=0)
    latency_ms = models.BigIntegerField(default=0)
    timed = models.PositiveIntegerField(default=0)
    # By the score's name: the sum of its values, and how many there are.
    scores = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["experiment", "subject"], name="promotions_exposure_once")
        ]


class ExperimentCount(models.Model):
    """How far the exposures of an experiment are counted. Who counts holds this row's lock."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="count")
    # What the intervals are tuned to: the planned subjects when the first one was counted. It never changes.
    planned = models.PositiveIntegerField(null=True)
    # Calls that began before this were counted once more in the present round; None before a round.
    swept_until = models.DateTimeField(null=True)
    swept_at = models.DateTimeField(null=True)


class ExperimentLook(models.Model):
    """The figures of an experiment at one moment, frozen."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="looks")
    at = models.DateTimeField(default=clock.now)
    subjects = models.PositiveIntegerField()
    figures = models.JSONField()

    class Meta:
        ordering: ClassVar[list[str]] = ["at", "pk"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["experiment", "at"], name="promotions_look_newest")
        ]
