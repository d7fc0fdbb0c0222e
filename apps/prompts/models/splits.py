"""How the traffic of an environment is split among versions, and which process serves what."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.projects.models import Environment, Project
from apps.prompts.models.prompts import Prompt, Version

WHOLE = 10_000
"""Shares and weights are counted in so many parts."""


class Split(models.Model):
    """A split that is, or was, served for a prompt in an environment; the one without an end is served now.

    A change (of its share, say) ends one row and begins the next with the same salt, so that subjects stay where they
    are. `splitting.choose` says who gets what.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="splits")
    environment = models.ForeignKey(Environment, on_delete=models.RESTRICT, related_name="+")
    # The experiment's slug.
    experiment = models.CharField(max_length=100)
    unit = models.CharField(max_length=16)
    salt = models.CharField(max_length=64)
    layer = models.CharField(max_length=100, blank=True)
    layer_from = models.PositiveIntegerField(default=0)
    # How many of 10,000 subjects take part.
    share = models.PositiveIntegerField()
    excluded = ArrayField(models.CharField(max_length=256), default=list, blank=True)
    started_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at", "-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["prompt", "environment"], condition=Q(ended_at=None), name="prompts_split_one_open"
            ),
            models.CheckConstraint(condition=Q(share__lte=WHOLE), name="prompts_split_share_in_range"),
            models.CheckConstraint(condition=Q(layer_from__lte=WHOLE), name="prompts_split_layer_in_range"),
        ]


class SplitArm(models.Model):
    """What a part of a split's subjects gets. `weight` is of 10,000; the weights of a split add up to that."""

    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="arms")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=32)
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    # Empty: the version's own.
    model = models.CharField(max_length=300, blank=True)
    weight = models.PositiveIntegerField()
    evidence_kind = models.CharField(max_length=16, blank=True)
    evidence_id = models.UUIDField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["split", "position"], name="prompts_split_arm_position_once"),
            models.UniqueConstraint(fields=["split", "name"], name="prompts_split_arm_name_once"),
            models.CheckConstraint(condition=Q(weight__lte=WHOLE), name="prompts_split_arm_weight_in_range"),
        ]


class LiveProcess(models.Model):
    """A process that serves live prompts; one that was not seen for a while is gone."""

    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Host and process id, for people.
    name = models.CharField(max_length=254)
    started_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now, db_index=True)


class LiveSeen(models.Model):
    """Which state of a project a process serves: the number of the live mark, since when, by the database's clock."""

    process = models.ForeignKey(LiveProcess, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    number = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["process", "project", "number"], name="prompts_live_seen_once")
        ]
