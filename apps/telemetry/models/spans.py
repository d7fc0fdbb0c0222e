"""The large tables, which are partitioned by day and made by SQL in the migrations, so that Django reads them
(`managed = False`) but never alters them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


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
    cache_write_1h_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    service_tier = models.TextField()
    cost_usd = models.DecimalField(max_digits=46, decimal_places=24, null=True)
    client_cost_usd = models.DecimalField(max_digits=46, decimal_places=24, null=True)
    price_id = models.BigIntegerField(null=True)
    tool_name = models.TextField()
    agent_name = models.TextField()
    response_id = models.TextField()
    call_id = models.TextField()
    scope = models.TextField()
    attempts = models.SmallIntegerField()
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
