"""Runs of the playground, and the answers they got."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.playground.types import AnswerState, Origin
from apps.projects.models import Project

ORIGINS = [(origin.value, origin.value) for origin in Origin]
STATES = [(state.value, state.value) for state in AnswerState]


class PlaygroundRun(models.Model):
    """One case that was run: the conversation with its values, what was sent, and what it came from.

    The prompt and the trace are named and not pointed to, because a run outlives both.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=254)
    origin = models.CharField(max_length=16, choices=ORIGINS)
    prompt_name = models.CharField(max_length=200, blank=True)
    # The version that was run unchanged, or that the draft or the edited case began with.
    prompt_version = models.CharField(max_length=64, blank=True)
    is_edited = models.BooleanField(default=False)
    trace_id = models.CharField(max_length=32, blank=True)
    span_id = models.CharField(max_length=16, blank=True)
    # A case as `apps.playground.case.case_as_dict` writes it.
    case = models.JSONField()
    # The messages as they went out, with the values in their places.
    messages = models.JSONField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(origin__in=[origin.value for origin in Origin]), name="playground_run_origin"
            )
        ]
        indexes = [
            models.Index(fields=["project", "-created_at"], name="playground_run_newest"),
            models.Index(fields=["project", "actor", "-created_at"], name="playground_run_of_actor"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class PlaygroundAnswer(models.Model):
    """What one model answered in one run. The cost is null where it is not known, never 0."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(PlaygroundRun, on_delete=models.CASCADE, related_name="answers")
    # From 0, left to right.
    column = models.PositiveSmallIntegerField()
    # As it was picked, such as `our-openai/gpt-4o-mini`.
    model = models.CharField(max_length=300)
    connection = models.CharField(max_length=120, blank=True)
    provider = models.CharField(max_length=64, blank=True)
    # As the provider named the model that answered.
    response_model = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=16, choices=STATES, default=AnswerState.QUEUED.value)
    text = models.TextField(blank=True)
    # As [{"id", "name", "arguments"}].
    tool_calls = models.JSONField(default=list)
    finish_reason = models.CharField(max_length=64, blank=True)
    is_complete = models.BooleanField(default=False)
    ttft_ms = models.PositiveIntegerField(null=True)
    total_ms = models.PositiveIntegerField(null=True)
    input_tokens = models.PositiveBigIntegerField(null=True)
    output_tokens = models.PositiveBigIntegerField(null=True)
    cached_input_tokens = models.PositiveBigIntegerField(null=True)
    reasoning_tokens = models.PositiveBigIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=30, decimal_places=18, null=True)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    trace_id = models.CharField(max_length=32, blank=True)
    span_id = models.CharField(max_length=16, blank=True)
    is_traced = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    # When nobody can be at it any more: the longest the call may take, and a minute.
    deadline_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["column"]
        constraints = [
            models.UniqueConstraint(fields=["run", "column"], name="playground_answer_column_once"),
            models.CheckConstraint(condition=Q(column__lt=4), name="playground_answer_column_in_range"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in AnswerState]), name="playground_answer_state"
            ),
        ]
        indexes = [
            models.Index(
                fields=["project", "created_at"],
                condition=Q(state__in=[AnswerState.QUEUED.value, AnswerState.RUNNING.value]),
                name="playground_answer_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} in {self.run_id}"
