"""Projections of a month's cost, their revisions, and who approved them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.core import clock
from apps.projects.models import Project


class Projection(models.Model):
    """One revision of a projection, frozen as it is made: inputs, sample, prices, numbers and their hash never change
    (the database sees to it). Only its state moves: draft, asked, approved or rejected.
    """

    class State(models.TextChoices):
        """Where a revision stands."""

        DRAFT = "draft"
        ASKED = "asked"
        APPROVED = "approved"
        REJECTED = "rejected"

    # What all revisions of one projection share.
    lineage = models.UUIDField(default=uuid.uuid4, editable=False)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="projections")
    revision = models.PositiveIntegerField(default=1)
    name = models.CharField(max_length=120)
    # Empty: the calls that name no feature are not meant, but those of every feature.
    feature = models.CharField(max_length=128, blank=True)
    environment = models.CharField(max_length=64)
    state = models.CharField(max_length=16, default=State.DRAFT)
    inputs = models.JSONField()
    # [input, output, cached, written, reasoning] of each call.
    sample = models.JSONField()
    # The price list as it was, with the row it was read from.
    price = models.JSONField()
    numbers = models.JSONField()
    month_usd = models.DecimalField(max_digits=24, decimal_places=6)
    content_hash = models.CharField(max_length=64)
    # The person behind it, also where a key of theirs made it. None: nobody's key.
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    author_name = models.CharField(max_length=254)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by_name = models.CharField(max_length=254, blank=True)
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now)
    asked_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["lineage", "revision"], name="budgets_projection_revision_once"),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "asked", "approved", "rejected"]), name="budgets_projection_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "asked"], decided_by=None, decided_at=None)
                | Q(
                    state__in=["approved", "rejected"],
                    decided_by__isnull=False,
                    decided_at__isnull=False,
                    author__isnull=False,
                ),
                name="budgets_projection_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None)
                | (~Q(decided_by=F("author")) & (Q(asked_by=None) | ~Q(decided_by=F("asked_by")))),
                name="budgets_projection_not_by_its_author",
            ),
            models.CheckConstraint(
                condition=~Q(state="rejected") | ~Q(reason=""), name="budgets_projection_rejected_with_a_reason"
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | Q(valid_until__isnull=False), name="budgets_projection_approval_ends"
            ),
            models.CheckConstraint(condition=Q(month_usd__gte=0), name="budgets_projection_cost_not_negative"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="budgets_projection_newest"),
            models.Index(
                fields=["project", "environment", "feature", "-decided_at"],
                condition=Q(state="approved"),
                name="budgets_projection_approved",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}, revision {self.revision}"
