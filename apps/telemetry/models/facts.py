"""Facts read from traces: retrievals, agents' tasks and tool runs, what they add up to, and what is to be added up.

Facts are worked out from the spans and can be at any time (`services.trace_facts`), so nothing here is ever edited.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class SpanFact(models.Model):
    """What facts of one span begin with. `started_at` is the span's, `day` its UTC day; empty text is not known."""

    pk = models.CompositePrimaryKey("project_id", "trace_id", "span_id", "started_at")
    project_id = models.BigIntegerField()
    trace_id = models.BinaryField()
    span_id = models.BinaryField()
    started_at = models.DateTimeField()
    day = models.DateField()
    environment = models.TextField()
    feature = models.TextField()
    service = models.TextField()
    name = models.TextField()
    error_type = models.TextField()
    latency_ms = models.BigIntegerField(null=True)

    class Meta:
        abstract = True


class Retrieval(SpanFact):
    """One retriever or reranker span; `name` is the index that was asked. Meanings are those of
    `trace_facts.RetrievalFact`.
    """

    kind = models.TextField()
    model = models.TextField()
    prompt_name = models.TextField()
    prompt_version = models.TextField()
    failed = models.BooleanField()
    chunks = models.IntegerField(null=True)
    top_score = models.FloatField(null=True)
    mean_score = models.FloatField(null=True)
    low_score = models.FloatField(null=True)
    reranked = models.IntegerField(null=True)
    score_before = models.FloatField(null=True)
    score_after = models.FloatField(null=True)
    mean_shift = models.FloatField(null=True)
    changed_top3 = models.IntegerField(null=True)
    utilisation = models.FloatField(null=True)
    utilisation_method = models.TextField()
    index_age_s = models.BigIntegerField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "started_at"], name="telemetry_retrieval_time"),
            models.Index(fields=["project_id", "feature", "started_at"], name="telemetry_retrieval_feature"),
            models.Index(
                fields=["project_id", "started_at"],
                name="telemetry_retrieval_empty",
                condition=Q(chunks=0, kind="retriever"),
            ),
            models.Index(
                fields=["project_id", "day", "top_score"],
                name="telemetry_retrieval_score",
                condition=Q(top_score__isnull=False, kind="retriever"),
            ),
            models.Index(
                fields=["project_id", "day", "utilisation"],
                name="telemetry_retrieval_use",
                condition=Q(utilisation__isnull=False, kind="retriever"),
            ),
            models.Index(
                fields=["project_id", "day", "-latency_ms"],
                name="telemetry_retrieval_slow",
                condition=Q(latency_ms__isnull=False, kind="retriever"),
            ),
            models.Index(
                fields=["project_id", "name", "-started_at"],
                name="telemetry_retrieval_age",
                condition=Q(index_age_s__isnull=False),
            ),
        ]


class AgentTask(SpanFact):
    """One task of an agent; `name` is the agent's. Meanings are those of `trace_facts.TaskFact`."""

    model = models.TextField()
    prompt_name = models.TextField()
    prompt_version = models.TextField()
    outcome = models.TextField(null=True)
    steps = models.IntegerField()
    model_calls = models.IntegerField()
    tool_runs = models.IntegerField()
    tools = ArrayField(models.TextField())
    handoffs = models.IntegerField()
    loop = models.TextField(null=True)
    depth = models.IntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cost_usd = models.DecimalField(max_digits=46, decimal_places=24, null=True)
    unpriced_calls = models.IntegerField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "started_at"], name="telemetry_agenttask_time"),
            models.Index(fields=["project_id", "feature", "started_at"], name="telemetry_agenttask_feature"),
            models.Index(
                fields=["project_id", "started_at"],
                name="telemetry_agenttask_bad",
                condition=Q(outcome__in=["failure", "timeout"]),
            ),
            models.Index(
                fields=["project_id", "started_at"], name="telemetry_agenttask_loop", condition=Q(loop__gt="")
            ),
            models.Index(fields=["project_id", "day", "-steps"], name="telemetry_agenttask_long"),
        ]


class ToolRun(SpanFact):
    """One run of a tool; `name` is the tool's, and `outcome` is success, failure or timeout."""

    agent_name = models.TextField()
    outcome = models.TextField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "started_at"], name="telemetry_toolrun_time"),
        ]


class FactSummary(models.Model):
    """The facts of one subject (`tallies.Subject`) in one stretch of 1, 6 or 24 hours of UTC, added up.

    `slice` says what is told apart beside the environment: nothing (`all`), the `feature`, the `name`, or both
    (`full`, which is not kept by the hour). `counts` and `histograms` are in the order of the subject's names; see
    `tallies`.
    """

    project_id = models.BigIntegerField()
    subject = models.TextField()
    hours = models.SmallIntegerField()
    slice = models.TextField()
    start = models.DateTimeField()
    environment = models.TextField()
    feature = models.TextField()
    name = models.TextField()
    counts = ArrayField(models.BigIntegerField())
    cost_usd = models.DecimalField(max_digits=46, decimal_places=24, null=True)
    histograms = ArrayField(models.BinaryField())

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id",
                "subject",
                "hours",
                "slice",
                "start",
                "environment",
                "feature",
                "name",
                name="telemetry_fact_summary_once",
            )
        ]


class FactMark(models.Model):
    """A stretch of 1, 6 or 24 hours whose summaries are to be written anew. Only ever appended: one for an hour with
    the facts that changed, the longer ones when the hour's are written.
    """

    project_id = models.BigIntegerField()
    hours = models.SmallIntegerField()
    start = models.DateTimeField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "start"], name="telemetry_factmark_start")
        ]
