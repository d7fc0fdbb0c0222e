"""Tables of telemetry. The large ones are partitioned by day and made by SQL in the first migration, so that Django
reads them (`managed = False`) but never alters them."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.core import clock
from apps.projects.models import Project


class SpanKey(models.Model):
    """What identifies a span: numbers and bytes, never a foreign key, so that the tables can be distributed."""

    pk = models.CompositePrimaryKey("project_id", "trace_id", "span_id", "started_at")
    project_id = models.BigIntegerField()
    trace_id = models.BinaryField()
    span_id = models.BinaryField()
    started_at = models.DateTimeField()

    class Meta:
        abstract = True


class Span(SpanKey):
    """The narrow row of a span. Field meanings are those of `types.SpanRecord`."""

    client_started_at = models.DateTimeField()
    received_at = models.DateTimeField()
    kind = models.TextField()
    name = models.TextField()
    status = models.TextField()
    counted = models.BooleanField()
    digest = models.BinaryField()
    parent_span_id = models.BinaryField(null=True)
    ended_at = models.DateTimeField(null=True)
    latency_ms = models.BigIntegerField(null=True)
    ttft_ms = models.BigIntegerField(null=True)
    error_type = models.TextField()
    error_message = models.TextField()
    environment = models.TextField()
    feature = models.TextField()
    service = models.TextField()
    user_id = models.TextField()
    session_id = models.TextField()
    provider = models.TextField()
    model = models.TextField()
    request_model = models.TextField()
    response_model = models.TextField()
    prompt_name = models.TextField()
    prompt_version = models.TextField()
    source = models.TextField()
    finish_reason = models.TextField()
    streamed = models.BooleanField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_input_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=46, decimal_places=24, null=True)
    client_cost_usd = models.DecimalField(max_digits=46, decimal_places=24, null=True)
    price_id = models.BigIntegerField(null=True)
    tool_name = models.TextField()
    agent_name = models.TextField()
    tags = ArrayField(models.TextField())
    flags = ArrayField(models.TextField())

    class Meta:
        managed = False
        db_table = "telemetry_span"


class SpanPayload(SpanKey):
    """The bulky part of a span: texts, documents and attributes; the last two are JSON, kept byte for byte."""

    input = models.TextField(null=True)
    output = models.TextField(null=True)
    input_is_json = models.BooleanField()
    output_is_json = models.BooleanField()
    documents = models.TextField(null=True)
    attributes = models.TextField(null=True)

    class Meta:
        managed = False
        db_table = "telemetry_payload"


class SkewedSpan(models.Model):
    """Where a span with an impossible clock was put, so that sending it again finds it there."""

    pk = models.CompositePrimaryKey("project_id", "trace_id", "span_id", "client_started_at")
    project_id = models.BigIntegerField()
    trace_id = models.BinaryField()
    span_id = models.BinaryField()
    client_started_at = models.DateTimeField()
    stored_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "telemetry_skewed"


class DirtyHour(models.Model):
    """An hour whose spans changed since its cost records were written. Only ever appended by the intake."""

    project_id = models.BigIntegerField()
    hour = models.DateTimeField()
    marked_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "hour"], name="telemetry_dirty_project_hour")
        ]


class CostFigures(models.Model):
    """What a cost record counts. Sums are of calls (`Span.counted`); a null cost is unpriced and counted as such."""

    calls = models.BigIntegerField()
    errors = models.BigIntegerField()
    unpriced_calls = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost_usd = models.DecimalField(max_digits=46, decimal_places=24)
    latency_histogram = models.BinaryField()
    ttft_histogram = models.BinaryField()

    class Meta:
        abstract = True


class CostDimensions(models.Model):
    """What a cost record is kept by. Empty text stands for calls that did not say."""

    project_id = models.BigIntegerField()
    environment = models.TextField()
    feature = models.TextField()
    provider = models.TextField()
    model = models.TextField()
    prompt_version = models.TextField()
    source = models.TextField()

    class Meta:
        abstract = True


class CostHour(CostDimensions, CostFigures):
    """The cost record: one hour of one combination of dimensions."""

    hour = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id",
                "hour",
                "environment",
                "feature",
                "provider",
                "model",
                "prompt_version",
                "source",
                name="telemetry_cost_hour_once",
            )
        ]


class CostHourSlice(CostFigures):
    """One hour by one dimension alone, for series of hours and for days that are not those of UTC. Only for `all` (the
    hour's total), `feature` and `model`: most reads are by those, and more would be as many rows as the records."""

    project_id = models.BigIntegerField()
    hour = models.DateTimeField()
    environment = models.TextField()
    dimension = models.TextField()
    value = models.TextField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id", "dimension", "hour", "environment", "value", name="telemetry_cost_hour_slice_once"
            )
        ]


class CostDay(CostDimensions, CostFigures):
    """The hours of one UTC day, added up."""

    day = models.DateField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id",
                "day",
                "environment",
                "feature",
                "provider",
                "model",
                "prompt_version",
                "source",
                name="telemetry_cost_day_once",
            )
        ]


class CostDaySlice(CostFigures):
    """One UTC day by one dimension alone, for long ranges. The dimension `all` has the day's total."""

    project_id = models.BigIntegerField()
    day = models.DateField()
    environment = models.TextField()
    dimension = models.TextField()
    value = models.TextField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id", "dimension", "day", "environment", "value", name="telemetry_cost_day_slice_once"
            )
        ]


class IntakeBatch(models.Model):
    """What one request brought and what became of it: received = stored + updated + duplicates + rejected."""

    project_id = models.BigIntegerField()
    key_id = models.BigIntegerField(null=True)
    client = models.TextField()
    at = models.DateTimeField(default=clock.now)
    received = models.IntegerField()
    stored = models.IntegerField()
    updated = models.IntegerField()
    duplicates = models.IntegerField()
    rejected = models.IntegerField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["project_id", "at"], name="telemetry_batch_at")]


class IntakeRejection(models.Model):
    """An item that was not stored: why, and the beginning of it."""

    project_id = models.BigIntegerField()
    key_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(default=clock.now)
    list_name = models.TextField()
    position = models.IntegerField()
    code = models.TextField()
    message = models.TextField()
    sample = models.TextField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "at"], name="telemetry_rejection_at")
        ]


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
