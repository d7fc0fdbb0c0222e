"""Shapes of release rules in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.promotions.models import ReleaseRule
from apps.promotions.rules import MOST_APPROVALS, MOST_GATES, MOST_WATCH_HOURS

GUARDRAILS = (
    "error_rate {most_rise, most}, latency_p99 {most_ratio, most_ms}, cost_per_call {most_ratio, most_usd}, "
    "scores [{name, most_drop}], minimum_calls, confidence; null for what is not watched, {} for the usual"
)


class RuleSettings(StrictSerializer):
    """What the rule asks for."""

    gates = serializers.ListField(
        child=serializers.CharField(max_length=100), min_length=1, max_length=MOST_GATES, help_text="slugs of gates"
    )
    approvals_needed = serializers.IntegerField(required=False, default=1, min_value=1, max_value=MOST_APPROVALS)
    asks_on_merge = serializers.BooleanField(required=False, default=False)
    guardrails = serializers.DictField(required=False, default=dict, help_text=GUARDRAILS)
    rolls_back = serializers.BooleanField(required=False, default=False)
    watch_hours = serializers.IntegerField(required=False, default=24, min_value=1, max_value=MOST_WATCH_HOURS)


class RuleInput(RuleSettings):
    """A rule to be set: for a prompt, for a feature, or (neither) for everything in the environment."""

    environment = serializers.CharField(max_length=64)
    prompt = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    feature = serializers.CharField(required=False, default="", allow_blank=True, max_length=128)


class RuleOutput(serializers.Serializer[ReleaseRule]):
    """A release rule."""

    id = serializers.UUIDField(source="uuid")
    environment = serializers.CharField(source="environment.slug")
    prompt = serializers.CharField(source="prompt.name", allow_null=True, default=None)
    feature = serializers.CharField()
    gates = serializers.SerializerMethodField()
    approvals_needed = serializers.IntegerField()
    asks_on_merge = serializers.BooleanField()
    guardrails = serializers.SerializerMethodField(help_text=GUARDRAILS)
    rolls_back = serializers.BooleanField()
    watch_hours = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    changed_at = serializers.DateTimeField()

    def get_gates(self, rule: ReleaseRule) -> list[str]:
        """Slugs, in the order of the names."""
        return [gate.slug for gate in sorted(rule.gates.all(), key=lambda gate: (gate.name, gate.slug))]

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_guardrails(self, rule: ReleaseRule) -> dict[str, Any]:
        """Complete, or empty for the usual."""
        return dict(rule.guardrails)


class RulesOutput(serializers.Serializer[Any]):
    """The project's rules."""

    items = RuleOutput(many=True)
