"""Shapes of the read doors' queries and answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.telemetry import metrics
from apps.telemetry.figures import MAX_GROUPS, Dimension, Interval

KINDS = ["llm", "embedding", "retriever", "reranker", "tool", "agent", "chain"]


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
    prompt = serializers.CharField(required=False, max_length=193, help_text="the prompt's name, or `name@version`")
    kind = serializers.ChoiceField(required=False, choices=KINDS)
    tool = serializers.CharField(required=False, max_length=256, help_text="the tool's name")
    agent = serializers.CharField(required=False, max_length=256, help_text="the agent's name")
    tag = serializers.CharField(required=False, max_length=256)
    error_type = serializers.CharField(required=False, max_length=256)
    min_latency_ms = serializers.IntegerField(required=False, min_value=0, max_value=10**12)
    max_latency_ms = serializers.IntegerField(required=False, min_value=0, max_value=10**12)
    min_cost_usd = serializers.DecimalField(required=False, max_digits=24, decimal_places=12, min_value=Decimal(0))
    score = serializers.CharField(
        required=False, max_length=300, help_text="`name` compared with a number or a label: `thumbs<1`, `outcome=ok`"
    )
    flagged = serializers.BooleanField(required=False, help_text="true: traces that were flagged for review")
    text = serializers.CharField(
        required=False, max_length=2000, help_text="words that occur in one span, all of them; `refun*` for beginnings"
    )
    cursor = serializers.CharField(required=False, max_length=120, help_text="`next` of the page before")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class SpanQuery(TraceQuery):
    """As for traces."""


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
    totals = serializers.DictField(help_text="what all spans of the trace add up to")
    truncated = serializers.BooleanField(help_text="true when the trace has more spans than are in `spans`")


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

    metric = NamesField(help_text=f"one or more of {', '.join(metrics.KNOWN)}")
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
            raise serializers.ValidationError(f"Name at least one of {', '.join(metrics.KNOWN)}.")
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


# --- Scores -------------------------------------------------------------------------------------------------


class TraceIdField(serializers.RegexField):
    """The hexadecimal id of a trace, in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"^[0-9a-fA-F]{32}$", **kwargs)


class SpanIdField(serializers.RegexField):
    """The hexadecimal id of a span."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"^[0-9a-fA-F]{16}$", **kwargs)


class ScoreQuery(serializers.Serializer[Any]):
    """Which scores: of one trace, span or session, or those of a time range (the last 24 hours when left out)."""

    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range, included")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included")
    name = serializers.CharField(required=False, max_length=128)
    vars()["source"] = serializers.CharField(required=False, max_length=64)
    trace_id = TraceIdField(required=False)
    span_id = SpanIdField(required=False)
    session = serializers.CharField(required=False, max_length=256)
    user = serializers.CharField(required=False, max_length=256)
    environment = serializers.CharField(required=False, max_length=64)
    feature = serializers.CharField(required=False, max_length=128)
    model = serializers.CharField(required=False, max_length=128)
    prompt_version = serializers.CharField(required=False, max_length=193, help_text="as `name@version`")
    cursor = serializers.CharField(required=False, max_length=120, help_text="`next` of the page before")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class ScoreInput(serializers.Serializer[Any]):
    """One score: of what, and a value, a label or a comment. `thumbs` is 1 or 0 (or up, down), `task_completion` 0 to 1
    (or success, failure, timeout); other numbers are kept as they are."""

    name = serializers.CharField(max_length=128)
    trace_id = serializers.CharField(required=False, help_text="32 hexadecimal digits")
    span_id = serializers.CharField(required=False, help_text="16 hexadecimal digits; alone or with trace_id")
    session_id = serializers.CharField(required=False, max_length=256)
    value = serializers.FloatField(required=False, help_text="a number, or true or false")
    vars()["label"] = serializers.CharField(required=False, max_length=256)
    comment = serializers.CharField(required=False, max_length=8192)
    user_id = serializers.CharField(required=False, max_length=256, help_text="who gave it")
    vars()["source"] = serializers.CharField(required=False, max_length=64, help_text="such as api, judge, review")
    environment = serializers.CharField(required=False, max_length=64, help_text="until the trace says it")
    id = serializers.CharField(required=False, help_text="sending it again with another value replaces the score")
    timestamp = serializers.DateTimeField(required=False, help_text="when it was given; now when left out")


class ScoreRejectionOutput(serializers.Serializer[Any]):
    """A score that was not stored."""

    index = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class ScoresOutput(serializers.Serializer[Any]):
    """What became of the scores, after the commit; `stored` counts `updated`."""

    stored = serializers.IntegerField()
    updated = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = ScoreRejectionOutput(many=True)
    ids = serializers.ListField(child=serializers.CharField(allow_null=True), help_text="by item; null where rejected")


class ScoreOutput(serializers.Serializer[Any]):
    """One score with what it is grouped by, null as long as its trace is not known."""

    id = serializers.CharField()
    trace_id = serializers.CharField(allow_null=True)
    span_id = serializers.CharField(allow_null=True)
    session_id = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    data_type = serializers.ChoiceField(choices=["numeric", "boolean", "categorical", "text"])
    value = serializers.FloatField(allow_null=True)
    vars()["label"] = serializers.CharField(allow_null=True)
    comment = serializers.CharField(allow_null=True)
    user_id = serializers.CharField(allow_null=True)
    vars()["source"] = serializers.CharField()
    at = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    environment = serializers.CharField(allow_null=True)
    feature = serializers.CharField(allow_null=True)
    provider = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    prompt_version = serializers.CharField(allow_null=True)


class ScorePageOutput(serializers.Serializer[Any]):
    """A page of scores, newest first."""

    items = ScoreOutput(many=True)
    next = serializers.CharField(allow_null=True)


class FeedbackLinkInput(StrictSerializer):
    """What is to be scored, how, and for how long the link works."""

    trace_id = TraceIdField(required=False)
    span_id = SpanIdField(required=False)
    session_id = serializers.CharField(required=False, max_length=256)
    kind = serializers.ChoiceField(required=False, default="thumbs", choices=["thumbs", "rating"])
    name = serializers.CharField(
        required=False, max_length=128, help_text="the score's name; `thumbs` or `rating` when left out"
    )
    user_id = serializers.CharField(required=False, max_length=256, help_text="who is asked")
    expires_in = serializers.IntegerField(
        required=False, default=30 * 86_400, min_value=60, max_value=366 * 86_400, help_text="seconds"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A link needs something to score."""
        if not any(attrs.get(name) for name in ("trace_id", "span_id", "session_id")):
            raise serializers.ValidationError({"trace_id": ["Say what is scored: trace_id, span_id or session_id."]})
        return attrs


class FeedbackLinkOutput(serializers.Serializer[Any]):
    """A link, and the token in it, for a page of your own."""

    url = serializers.CharField()
    token = serializers.CharField()
    expires_at = serializers.DateTimeField()


class OpikScoreInput(serializers.Serializer[Any]):
    """One score in Opik's words; `id` is that of the trace or span."""

    id = serializers.CharField()
    name = serializers.CharField()
    value = serializers.FloatField()
    reason = serializers.CharField(required=False, allow_null=True)
    category_name = serializers.CharField(required=False, allow_null=True)


class OpikScoresInput(serializers.Serializer[Any]):
    """Scores in Opik's words."""

    scores = OpikScoreInput(many=True)
