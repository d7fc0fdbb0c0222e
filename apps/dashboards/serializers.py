"""Shapes of what the dashboards tell over the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core import money
from apps.dashboards.prompt_numbers import VersionNumbers
from apps.telemetry.figures import Percentiles


class NumbersQuery(serializers.Serializer[Any]):
    """Which calls."""

    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range; 30 days before its end")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included; now when left out")
    environment = serializers.CharField(required=False, allow_blank=True, max_length=64, help_text="all when left out")


class LengthsOutput(serializers.Serializer[Percentiles]):
    """Percentiles in whole milliseconds, null without calls."""

    p50 = serializers.IntegerField(allow_null=True)
    p95 = serializers.IntegerField(allow_null=True)
    p99 = serializers.IntegerField(allow_null=True)


class ScoreFigures(serializers.Serializer[Any]):
    """The scores of one name."""

    count = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)


class VersionNumbersOutput(serializers.Serializer[VersionNumbers]):
    """The numbers of one version."""

    version = serializers.CharField(help_text="empty for calls that named the prompt and no version")
    told = serializers.CharField(help_text="as calls name it: `name@version`")
    is_published = serializers.SerializerMethodField(help_text="false for a version that only calls know")
    published_at = serializers.DateTimeField(source="published.at", allow_null=True, default=None)
    live_in = serializers.ListField(child=serializers.CharField())
    calls = serializers.IntegerField(source="figures.calls")
    errors = serializers.IntegerField(source="figures.errors")  # type: ignore[assignment]
    error_rate = serializers.FloatField(source="figures.error_rate", allow_null=True)
    input_tokens = serializers.IntegerField(source="figures.input_tokens")
    output_tokens = serializers.IntegerField(source="figures.output_tokens")
    cost_usd = serializers.SerializerMethodField(help_text="null where no price is known")
    cost_per_call_usd = serializers.SerializerMethodField()
    unpriced_calls = serializers.IntegerField(source="figures.unpriced_calls")
    latency_ms = LengthsOutput(source="figures.latency")
    ttft_ms = LengthsOutput(source="figures.ttft")
    scores = serializers.DictField(child=ScoreFigures())
    first_call_on = serializers.DateField(source="first_on", allow_null=True, help_text="a UTC day")
    last_call_on = serializers.DateField(source="last_on", allow_null=True, help_text="a UTC day")

    def get_is_published(self, row: VersionNumbers) -> bool:
        """True for a version of this project."""
        return row.published is not None

    def get_cost_usd(self, row: VersionNumbers) -> str | None:
        """The sum of the calls whose price is known."""
        return money.as_json(row.figures.cost_usd)

    def get_cost_per_call_usd(self, row: VersionNumbers) -> str | None:
        """The mean of the calls whose price is known."""
        return money.as_json(row.cost_per_call)


class NumbersOutput(serializers.Serializer[Any]):
    """Versions from the newest on, then those that only calls know."""

    vars()["from"] = serializers.DateTimeField()
    to = serializers.DateTimeField()
    items = VersionNumbersOutput(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null: the answer is whole")
