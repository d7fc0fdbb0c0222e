"""Shapes of the read doors' queries and answers."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.telemetry import metrics
from apps.telemetry.figures import MAX_GROUPS, Dimension, Interval


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


@extend_schema_field({"type": "array", "items": {"type": "string"}})
class NamesField(serializers.Field[list[str], Any, list[str], Any]):
    """Names given one by one (`a=x&a=y`), separated by commas (`a=x,y`), or both; each counts once."""

    def get_value(self, dictionary: Any) -> Any:
        """Every value of the parameter, where there are several."""
        if isinstance(dictionary, QueryDict):
            return dictionary.getlist(self.field_name or "") or serializers.empty
        return super().get_value(dictionary)

    def to_internal_value(self, data: Any) -> list[str]:
        """The names in the order given."""
        texts = [data] if isinstance(data, str) else data
        return list(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))

    def to_representation(self, value: list[str]) -> list[str]:
        """As it is."""
        return value


class MetricsQuery(serializers.Serializer[Any]):
    """Which figures, of which calls, cut and grouped how."""

    metric = NamesField(help_text=f"one or more of {', '.join(metrics.METRICS)}")
    group_by = NamesField(required=False, default=list, help_text=f"up to two of {', '.join(Dimension)}")
    interval = serializers.ChoiceField(
        required=False,
        default=Interval.NONE.value,
        choices=[interval.value for interval in Interval],
        help_text="minutes and hours are those of UTC, days those of the project's time zone",
    )
    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range, included")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included")
    environment = serializers.CharField(required=False, allow_blank=True, max_length=64)
    feature = serializers.CharField(required=False, allow_blank=True, max_length=128, help_text="empty: not told")
    provider = serializers.CharField(required=False, allow_blank=True, max_length=64)
    model = serializers.CharField(required=False, allow_blank=True, max_length=128)
    prompt_version = serializers.CharField(
        required=False, allow_blank=True, max_length=193, help_text="as `name@version`"
    )
    vars()["source"] = serializers.CharField(required=False, allow_blank=True, max_length=64)

    def validate_metric(self, names: list[str]) -> list[str]:
        """At least one, all of them known."""
        if not names:
            raise serializers.ValidationError(f"Name at least one of {', '.join(metrics.METRICS)}.")
        problems = [problem for name in names if (problem := metrics.why_not(name))]
        if problems:
            raise serializers.ValidationError(problems)
        return names

    def validate_group_by(self, names: list[str]) -> list[Dimension]:
        """At most two, all of them known."""
        known = ", ".join(Dimension)
        problems = [
            f"There is no grouping {name!r}. There are: {known}." for name in names if name not in set(Dimension)
        ]
        if len(names) > MAX_GROUPS:
            problems.append(f"Group by {MAX_GROUPS} of {known} at most.")
        if problems:
            raise serializers.ValidationError(problems)
        return [Dimension(name) for name in names]


class MetricPointOutput(serializers.Serializer[Any]):
    """One point: the start of its interval, the values it is grouped by, and its metrics."""

    at = serializers.DateTimeField(allow_null=True, help_text="null when the range is not cut into intervals")
    group = serializers.DictField(child=serializers.CharField())
    metrics = serializers.DictField(help_text="numbers, decimal text for cost_usd, null for what is not known")


class MetricsOutput(serializers.Serializer[Any]):
    """Points by time and then by group. Without a grouping every interval is there; with one, those with calls."""

    items = MetricPointOutput(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null: the answer is whole")
