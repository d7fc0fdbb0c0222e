"""Promotions with their checks, decisions, comments and history."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.evals.models import EvalRun, Gate, GateReport
from apps.projects.models import Environment, Project
from apps.promotions.models.rules import ReleaseRule
from apps.promotions.types import OPEN, CheckState, DecisionKind, PromotionKind, PromotionState, Purpose
from apps.prompts.models import Deployment, Prompt, Version


class Promotion(models.Model):
    """A request to make a candidate live in an environment, or an arm of an experiment there.

    What it asks for never changes (the database sees to it); its state moves by conditional updates.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="promotions")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, default=PromotionKind.PROMOTION.value)
    purpose = models.CharField(max_length=16, default=Purpose.LIVE.value)
    state = models.CharField(max_length=16, default=PromotionState.CHECKING.value)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="promotions")
    environment = models.ForeignKey(Environment, on_delete=models.RESTRICT, related_name="+")
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="promotions")
    # Empty: the version's own.
    model = models.CharField(max_length=300, blank=True)
    content_hash = models.CharField(max_length=64)
    # The rule it was judged by, and what the rule said then; the hash changes when the rule does.
    rule = models.ForeignKey(ReleaseRule, on_delete=models.SET_NULL, null=True, related_name="+")
    rule_hash = models.CharField(max_length=64, blank=True)
    rule_said = models.JSONField(default=dict)
    # The person behind the request: who asked, or who made the key that asked. None for the product itself.
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    requester_kind = models.CharField(max_length=16)
    requester_name = models.CharField(max_length=254)
    origin = models.CharField(max_length=16)
    why = models.TextField(blank=True)
    # What changes against what was live, in sentences, as it was when it was asked for.
    changes = models.JSONField(default=list)
    # What was live when its gates were checked; a candidate is compared with that.
    live_before = models.ForeignKey(Deployment, on_delete=models.SET_NULL, null=True, related_name="+")
    deployment = models.ForeignKey(Deployment, on_delete=models.SET_NULL, null=True, related_name="+")
    # Why it is refused or void, in sentences.
    reasons = models.JSONField(default=list)
    asked_at = models.DateTimeField(default=clock.now)
    checked_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    reminded_at = models.DateTimeField(null=True)
    reminders = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "number"], name="promotions_number_once"),
            models.UniqueConstraint(
                fields=["prompt", "environment", "version", "model", "purpose"],
                condition=Q(state__in=sorted(one.value for one in OPEN)),
                name="promotions_open_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[one.value for one in PromotionState]), name="promotions_state_known"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[one.value for one in PromotionKind]), name="promotions_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(purpose__in=[one.value for one in Purpose]), name="promotions_purpose_known"
            ),
            models.CheckConstraint(
                condition=~Q(kind=PromotionKind.OVERRIDE.value) | ~Q(why=""), name="promotions_override_has_a_reason"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "state", "-asked_at"], name="promotions_by_state"),
            models.Index(fields=["prompt", "environment", "-asked_at"], name="promotions_by_prompt"),
        ]

    def __str__(self) -> str:
        return f"promotion {self.number}"


class PromotionCheck(models.Model):
    """One gate of a promotion: the run it waits for, and the report that it gave."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="checks")
    gate = models.ForeignKey(Gate, on_delete=models.RESTRICT, related_name="+")
    run = models.ForeignKey(EvalRun, on_delete=models.SET_NULL, null=True, related_name="+")
    report = models.ForeignKey(GateReport, on_delete=models.RESTRICT, null=True, related_name="+")
    state = models.CharField(max_length=16, default=CheckState.WAITING.value)
    # Why no run could be started, in words.
    problem = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["promotion", "gate"], name="promotions_check_once"),
            models.CheckConstraint(
                condition=Q(state__in=[one.value for one in CheckState]), name="promotions_check_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=CheckState.PASSED.value) | Q(report__isnull=False),
                name="promotions_check_passes_by_report",
            ),
        ]


class Decision(models.Model):
    """What one person decided, and what they saw. The database refuses to change it."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="decisions")
    kind = models.CharField(max_length=16)
    # The person, also where a key of theirs was used.
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)
    reason = models.TextField(blank=True)
    # The hashes that the decision holds for: content, rule, and each gate's report.
    bound_to = models.JSONField()
    decided_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering: ClassVar[list[str]] = ["decided_at", "pk"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["promotion", "person"], name="promotions_decision_once_a_person"),
            models.CheckConstraint(
                condition=Q(kind__in=[one.value for one in DecisionKind]), name="promotions_decision_kind_known"
            ),
            models.CheckConstraint(
                condition=~Q(kind=DecisionKind.REJECTED.value) | ~Q(reason=""),
                name="promotions_rejection_has_a_reason",
            ),
        ]


class PromotionComment(models.Model):
    """What somebody wrote about a promotion."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="comments")
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)
    text = models.TextField()
    written_at = models.DateTimeField(default=clock.now)


class PromotionEvent(models.Model):
    """One line of a promotion's history. Lines are added, never changed."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=32)
    state = models.CharField(max_length=16)
    sentence = models.TextField()
    actor_name = models.CharField(max_length=254)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering: ClassVar[list[str]] = ["at", "pk"]


class FollowUp(models.Model):
    """The review that an override owes: due at a time, and open until somebody else than who asked signs it."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    promotion = models.OneToOneField(Promotion, on_delete=models.CASCADE, related_name="follow_up")
    due_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)
    done_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    finding = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now)
