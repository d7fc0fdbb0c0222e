"""Runs, what came out for each example, its scores, and answers that are kept for other runs."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from apps.core import clock
from apps.evals.models.gates import Gate
from apps.evals.models.scorers import ScorerVersion
from apps.evals.models.sets import EvalSet, Example
from apps.evals.types import ResultState, RunKind, RunState, ScoreState
from apps.projects.models import Project
from apps.prompts.models import Version

RUN_STATES = [(state.value, state.value) for state in RunState]
KINDS = [(kind.value, kind.value) for kind in RunKind]
RESULT_STATES = [(state.value, state.value) for state in ResultState]
SCORE_STATES = [(state.value, state.value) for state in ScoreState]
OPEN_RUNS = (RunState.QUEUED.value, RunState.RUNNING.value)


class EvalRun(models.Model):
    """One pass over one revision of an eval set. Everything that decides what is measured is frozen when it is made.

    A worker that executes it holds `lease_token` until `lease_until`; whatever it writes is conditioned on the token,
    so a worker that slept too long writes nothing.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="eval_runs")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=200, blank=True)
    kind = models.CharField(max_length=16, choices=KINDS)

    version = models.ForeignKey(Version, on_delete=models.SET_NULL, null=True, related_name="+")
    prompt_name = models.CharField(max_length=200, blank=True)
    # `1.2.0`, or `draft`.
    prompt_version = models.CharField(max_length=64, blank=True)
    # The content with its snippets in place, as it is sent; null for a run of outputs that were brought along.
    content = models.JSONField(null=True)
    content_hash = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=300, blank=True)
    provider = models.CharField(max_length=100, blank=True)
    parameters = models.JSONField(default=dict)

    eval_set = models.ForeignKey(EvalSet, on_delete=models.RESTRICT, related_name="runs")
    revision = models.PositiveIntegerField()
    revision_hash = models.CharField(max_length=64)
    slices = models.JSONField(default=list)
    with_drafts = models.BooleanField(default=False)
    repetitions = models.PositiveSmallIntegerField(default=1)
    gate = models.ForeignKey(Gate, on_delete=models.SET_NULL, null=True, related_name="runs")

    concurrency = models.PositiveSmallIntegerField(default=20)
    budget_usd = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    use_cache = models.BooleanField(default=True)
    feature = models.CharField(max_length=128, blank=True)
    environment = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=16)
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)
    estimate = models.JSONField(null=True)

    state = models.CharField(max_length=16, choices=RUN_STATES, default=RunState.QUEUED.value)
    # Why it ended as it did, in a word and in a sentence; empty for one that simply finished.
    reason = models.CharField(max_length=64, blank=True)
    sentence = models.TextField(blank=True)
    cancel_asked_at = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    leases = models.PositiveIntegerField(default=0)

    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    from_cache = models.PositiveIntegerField(default=0)
    calls = models.PositiveIntegerField(default=0)
    spent_usd = models.DecimalField(max_digits=20, decimal_places=12, default=0)
    judge_spent_usd = models.DecimalField(max_digits=20, decimal_places=12, default=0)
    # Calls whose cost is not known; then the spend is a lower bound.
    unpriced_calls = models.PositiveIntegerField(default=0)
    # Calls that a worker's end cut off. They were perhaps paid: the most they can have cost counts against the budget.
    lost_calls = models.PositiveIntegerField(default=0)
    lost_usd = models.DecimalField(max_digits=20, decimal_places=12, default=0)
    # Calls that telemetry did not take. Their results are whole all the same.
    untraced_calls = models.PositiveIntegerField(default=0)
    # A run of outputs that are still being brought; nobody works on it before they are all there.
    awaits_outputs = models.BooleanField(default=False)
    # `summary.Summary` as JSON, frozen when it ends.
    summary = models.JSONField(null=True)
    is_sample = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "number"], name="evals_run_number_once"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in RunState]), name="evals_run_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-created_at"], name="evals_run_project"),
            models.Index(fields=["eval_set", "-created_at"], name="evals_run_set"),
            models.Index(fields=["version"], name="evals_run_version"),
            models.Index(fields=["lease_until"], condition=Q(state__in=OPEN_RUNS), name="evals_run_due"),
        ]

    def __str__(self) -> str:
        return f"run {self.number}"


class RunScorer(models.Model):
    """A scorer's version in a run, and from which value on an example passes it."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="scorers")
    version = models.ForeignKey(ScorerVersion, on_delete=models.RESTRICT, related_name="+")
    position = models.PositiveSmallIntegerField()
    slug = models.CharField(max_length=100)
    kind = models.CharField(max_length=64)
    threshold = models.FloatField()

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "version"], name="evals_run_scorer_once")
        ]

    def __str__(self) -> str:
        return self.slug


class Result(models.Model):
    """What came out for one example in one repetition. `example` is the row of the run's revision."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="results")
    example = models.ForeignKey(Example, on_delete=models.CASCADE, related_name="+")
    repetition = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=16, choices=RESULT_STATES, default=ResultState.WAITING.value)
    # How often its call was begun, over all leases.
    tries = models.PositiveSmallIntegerField(default=0)
    # How many of these a worker's end cut off; they do not count against the retries.
    interrupted = models.PositiveSmallIntegerField(default=0)

    output = models.TextField(blank=True)
    tool_calls = models.JSONField(default=list)
    # Messages of an agent's run, for outputs that were brought along.
    steps = models.JSONField(default=list)
    finish_reason = models.CharField(max_length=64, blank=True)
    response_model = models.CharField(max_length=200, blank=True)
    ttft_ms = models.PositiveIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    # Of the input and output tokens; they are priced apart.
    cached_input_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    is_from_cache = models.BooleanField(default=False)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    trace_id = models.CharField(max_length=32, blank=True)
    span_id = models.CharField(max_length=16, blank=True)
    is_traced = models.BooleanField(default=False)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    # Worst scorer's value, and whether all of them passed; null when that cannot be said.
    value = models.FloatField(null=True)
    is_passed = models.BooleanField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "example", "repetition"], name="evals_result_once"),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ResultState]), name="evals_result_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["run", "state"], name="evals_result_state"),
            models.Index(F("run"), F("is_passed"), Coalesce("value", -1.0), F("id"), name="evals_result_worst"),
        ]

    def __str__(self) -> str:
        return f"result {self.pk}"


class ResultScore(models.Model):
    """What one scorer said of one result."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="+")
    result = models.ForeignKey(Result, on_delete=models.CASCADE, related_name="scores")
    scorer = models.ForeignKey(RunScorer, on_delete=models.CASCADE, related_name="scores")
    state = models.CharField(max_length=16, choices=SCORE_STATES)
    value = models.FloatField(null=True)
    label = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    details = models.JSONField(default=dict)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=12, null=True)
    trace_id = models.CharField(max_length=32, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["result", "scorer"], name="evals_score_once"),
            models.CheckConstraint(
                condition=Q(state="scored", value__gte=0, value__lte=1)
                | Q(state__in=("not_scored", "error"), value__isnull=True),
                name="evals_score_value_fits_state",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["run", "scorer"], name="evals_score_run")]

    def __str__(self) -> str:
        return f"score {self.pk}"


class CachedAnswer(models.Model):
    """An answer that a later run may use in place of the same call. `key` is over everything that was sent, the model,
    the connection and the repetition."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=64)
    reply = models.JSONField()
    made_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "key"], name="evals_cached_answer_once")
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["made_at"], name="evals_cached_answer_age")]

    def __str__(self) -> str:
        return self.key


class Pace(models.Model):
    """How fast a connection of a project may be asked, for all runs and processes: after a refusal nobody asks before
    `paused_until`."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    connection = models.CharField(max_length=200)
    paused_until = models.DateTimeField(null=True)
    requests_per_minute = models.PositiveIntegerField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "connection"], name="evals_pace_once")
        ]

    def __str__(self) -> str:
        return self.connection


class Comparison(models.Model):
    """Two ended runs compared, kept because runs that ended do not change. `settings_hash` is over how, and over when
    the runs ended. Without an outcome it waits for a worker, which was asked at `made_at`."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    candidate = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="+")
    baseline = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="+")
    settings_hash = models.CharField(max_length=64)
    outcome = models.JSONField(null=True)
    made_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["candidate", "baseline", "settings_hash"], name="evals_comparison_once")
        ]

    def __str__(self) -> str:
        return f"{self.candidate_id} against {self.baseline_id}"
