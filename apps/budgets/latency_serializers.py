"""Shapes of latency targets and their evidence in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.budgets.latency_goals import LONGEST_MS
from apps.budgets.models import LatencyEvidence, LatencyTarget
from apps.budgets.models.latency import MOST_WINDOW_DAYS
from apps.budgets.selectors.latency import TargetState, why_not_current
from apps.core import clock
from apps.core.rest import StrictSerializer


def _milliseconds() -> serializers.IntegerField:
    return serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1, max_value=LONGEST_MS)


class LatencyTargetSettings(StrictSerializer):
    """What is promised, in milliseconds; null for what is not. At least one is set."""

    total_p50_ms = _milliseconds()
    total_p99_ms = _milliseconds()
    ttft_p50_ms = _milliseconds()
    ttft_p99_ms = _milliseconds()
    window_days = serializers.IntegerField(required=False, default=28, min_value=1, max_value=MOST_WINDOW_DAYS)


class LatencyTargetInput(LatencyTargetSettings):
    """A new target: for a feature in an environment."""

    feature = serializers.CharField(max_length=128)
    environment = serializers.CharField(max_length=64)


class LatencyTargetOutput(serializers.Serializer[LatencyTarget]):
    """A target as it is set."""

    id = serializers.UUIDField(source="uuid")
    feature = serializers.CharField()
    environment = serializers.CharField()
    total_p50_ms = serializers.IntegerField(allow_null=True)
    total_p99_ms = serializers.IntegerField(allow_null=True)
    ttft_p50_ms = serializers.IntegerField(allow_null=True)
    ttft_p99_ms = serializers.IntegerField(allow_null=True)
    window_days = serializers.IntegerField()
    fingerprint = serializers.CharField(help_text="what evidence must have been measured for to count")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    changed_at = serializers.DateTimeField()


class LatencyTargetStateOutput(serializers.Serializer[TargetState]):
    """A target and how it stands now."""

    target = LatencyTargetOutput()
    calls = serializers.IntegerField(help_text="within the window")
    goals = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_goals(self, state: TargetState) -> list[dict[str, Any]]:
        """By goal: what was measured, whether it is kept, the budget that is left, and the burn rates."""
        return [
            {
                "key": one.goal.key,
                "most_ms": one.goal.most_ms,
                "measured_ms": one.measured_ms,
                "calls": one.window.calls,
                "slow_calls": one.window.slow,
                "is_kept": one.is_kept,
                "budget_left": one.budget_left,
                "burns": [
                    {
                        "speed": burn.alarm.speed.value,
                        "threshold": burn.threshold,
                        "long_rate": burn.long_rate,
                        "short_rate": burn.short_rate,
                        "rings": burn.rings,
                    }
                    for burn in one.burns
                ],
            }
            for one in state.goals
        ]


class LatencyTargetStatesOutput(serializers.Serializer[Any]):
    """The project's targets."""

    items = LatencyTargetStateOutput(many=True)


class LatencyEvidenceInput(StrictSerializer):
    """Which calls to measure: those that services made in an environment within a stretch of at most 30 days."""

    target = serializers.UUIDField()
    environment = serializers.CharField(max_length=64, help_text="where the calls were made, such as staging")
    start = serializers.DateTimeField()
    end = serializers.DateTimeField(required=False, allow_null=True, default=None, help_text="now, when left out")


class LatencyEvidenceQuery(StrictSerializer):
    """Which evidence."""

    target = serializers.UUIDField(required=False)


class LatencyEvidenceOutput(serializers.Serializer[LatencyEvidence]):
    """Evidence, as it was frozen, and whether it still counts."""

    id = serializers.UUIDField(source="uuid")
    target = serializers.UUIDField(source="target.uuid")
    feature = serializers.CharField()
    environment = serializers.CharField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField()
    measured_at = serializers.DateTimeField()
    measured_by = serializers.CharField()
    expires_at = serializers.DateTimeField()
    fingerprint = serializers.CharField()
    level = serializers.FloatField()
    calls = serializers.IntegerField()
    figures = serializers.DictField(help_text="by length: calls, failed, p50 and p99 with low and high; null is never")
    goals = serializers.ListField(child=serializers.DictField())
    verdict = serializers.ChoiceField(choices=["met", "not_met", "undecided"])
    prompt_versions = serializers.ListField(child=serializers.CharField())
    models = serializers.ListField(child=serializers.CharField(), source="model_names")
    is_current = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()

    def get_is_current(self, evidence: LatencyEvidence) -> bool:
        """Whether it still counts."""
        return not self.get_reason(evidence)

    def get_reason(self, evidence: LatencyEvidence) -> str:
        """Why it does not; empty while it does."""
        return why_not_current(evidence, evidence.target, self.context.get("now") or clock.now())


class LatencyEvidencesOutput(serializers.Serializer[Any]):
    """Evidence, newest first."""

    items = LatencyEvidenceOutput(many=True)
