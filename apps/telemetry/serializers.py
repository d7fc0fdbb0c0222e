"""Shapes of the read doors' queries and answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class TraceQuery(serializers.Serializer[Any]):
    """Which traces: a time range (the last 24 hours when left out) and what one of their spans must have."""

    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range, included")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included")
    environment = serializers.CharField(required=False, max_length=64)
    feature = serializers.CharField(required=False, max_length=128)
    model = serializers.CharField(required=False, max_length=128)
    provider = serializers.CharField(required=False, max_length=64)
    status = serializers.ChoiceField(required=False, choices=["ok", "error"])
    user = serializers.CharField(required=False, max_length=256)
    session = serializers.CharField(required=False, max_length=256)
    prompt = serializers.CharField(required=False, max_length=128, help_text="the prompt's name")
    cursor = serializers.CharField(required=False, max_length=120, help_text="`next` of the page before")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class SpanQuery(TraceQuery):
    """As for traces, and the kind of span."""

    kind = serializers.ChoiceField(
        required=False, choices=["llm", "embedding", "retriever", "reranker", "tool", "agent", "chain"]
    )


class OneTraceQuery(serializers.Serializer[Any]):
    """When the trace was, which makes finding it quick."""

    at = serializers.DateTimeField(required=False, help_text="the start of any of its spans")


class TraceSummaryOutput(serializers.Serializer[Any]):
    """One line of the list."""

    trace_id = serializers.CharField()
    started_at = serializers.DateTimeField()
    name = serializers.CharField()
    kind = serializers.CharField()
    feature = serializers.CharField(allow_null=True)
    environment = serializers.CharField()
    user_id = serializers.CharField(allow_null=True)
    session_id = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    models = serializers.ListField(child=serializers.CharField())
    spans = serializers.IntegerField()
    calls = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_usd = serializers.CharField(allow_null=True, help_text="decimal; of the calls with a known cost")
    unpriced_calls = serializers.IntegerField()
    latency_ms = serializers.IntegerField(allow_null=True)
    ttft_ms = serializers.IntegerField(allow_null=True)


class TracePageOutput(serializers.Serializer[Any]):
    """A page of traces, newest first."""

    items = TraceSummaryOutput(many=True)
    next = serializers.CharField(allow_null=True)


class SpanPageOutput(serializers.Serializer[Any]):
    """A page of spans, newest first, under the names of the intake."""

    items = serializers.ListField(child=serializers.DictField())
    next = serializers.CharField(allow_null=True)


class TraceOutput(serializers.Serializer[Any]):
    """One trace with its spans, scores and totals."""

    trace_id = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    status = serializers.CharField()
    environment = serializers.CharField()
    user_id = serializers.CharField(allow_null=True)
    session_id = serializers.CharField(allow_null=True)
    feature = serializers.CharField(allow_null=True)
    prompt_name = serializers.CharField(allow_null=True)
    prompt_version = serializers.CharField(allow_null=True)
    spans = serializers.ListField(child=serializers.DictField())
    scores = serializers.ListField(child=serializers.DictField())
    totals = serializers.DictField()
