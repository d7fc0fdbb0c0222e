"""Shapes of the doors that read retrievals, tasks and tool runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework import serializers

from apps.core import clock
from apps.telemetry.figures import Interval

DEFAULT_RANGE = timedelta(hours=24)
LONGEST_RANGE = timedelta(days=400)
LONGEST_RANGE_OF_MINUTES = timedelta(hours=24)
LONGEST_RANGE_OF_HOURS = timedelta(days=31)
FIRST_YEAR, LAST_YEAR = 1970, 9999


class FactQuery(serializers.Serializer[Any]):
    """Which facts: a time range (the last 24 hours when left out), an environment, a feature."""

    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range, included")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included")
    interval = serializers.ChoiceField(
        required=False,
        default=Interval.HOUR.value,
        choices=[interval.value for interval in Interval],
        help_text="how the series is cut; all intervals are those of UTC",
    )
    environment = serializers.CharField(required=False, allow_blank=True, max_length=64)
    feature = serializers.CharField(required=False, allow_blank=True, max_length=128, help_text="empty: not told")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A range that makes sense and is not too long for its interval, and no parameter that is not known."""
        unknown = sorted(set(self.initial_data) - set(self.fields) - {"project"})
        if unknown:
            raise serializers.ValidationError({name: ["Unknown parameter."] for name in unknown})
        end = attrs.get("to") or clock.now()
        if not FIRST_YEAR < end.year < LAST_YEAR:
            raise serializers.ValidationError(f"Times lie between the years {FIRST_YEAR} and {LAST_YEAR}.")
        start = attrs.get("from") or end - DEFAULT_RANGE
        if start >= end:
            raise serializers.ValidationError("`from` must lie before `to`.")
        longest = {Interval.MINUTE: LONGEST_RANGE_OF_MINUTES, Interval.HOUR: LONGEST_RANGE_OF_HOURS}
        most = longest.get(Interval(attrs["interval"]), LONGEST_RANGE)
        if end - start > most or start.year <= FIRST_YEAR:
            raise serializers.ValidationError(f"A range cut like this may have {most.days} days.")
        return {**attrs, "from": start, "to": end}


class FactOutput(serializers.Serializer[Any]):
    """What every answer begins with: the range, its sums, those of the time of the same length before, and a series."""

    vars()["from"] = serializers.DateTimeField()
    to = serializers.DateTimeField()
    interval = serializers.CharField()
    total = serializers.DictField(help_text="rates 0 to 1, times in milliseconds, null for what is not known")
    before = serializers.DictField(help_text="the same of the time before")
    series = serializers.ListField(child=serializers.DictField(), help_text="the same for each interval, with `at`")
    features = serializers.ListField(child=serializers.DictField(), help_text="by feature, the largest first")
    worst = serializers.DictField(
        child=serializers.ListField(child=serializers.DictField()), help_text="a few of the worst, with their spans"
    )


class RetrievalOutput(FactOutput):
    """Retrievals: how often nothing is found, scores, what reranking changes, how much is used and how it was found."""

    indexes = serializers.ListField(
        child=serializers.DictField(), help_text="by index; `updated_at` as the client tells it"
    )


class AgentsOutput(FactOutput):
    """Tasks of agents and runs of tools: outcomes, steps, costs, loops."""

    agents = serializers.ListField(child=serializers.DictField(), help_text="by agent")
    tools = serializers.ListField(child=serializers.DictField(), help_text="runs by tool")
