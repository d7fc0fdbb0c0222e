"""Shapes of watches in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.promotions.types import WatchState

STATES = [one.value for one in WatchState]


class WatchesQuery(serializers.Serializer[Any]):
    """Which watches."""

    state = serializers.ChoiceField(choices=STATES, required=False, default="", allow_blank=True)
    prompt = serializers.CharField(required=False, default="", max_length=200)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class GuardrailOutput(serializers.Serializer[Any]):
    """One guardrail of a watch. `low` and `high` bound the change: a ratio of after to before where `is_ratio`, else a
    difference. Shares are 0..1, times milliseconds, money US dollars."""

    key = serializers.CharField()
    state = serializers.ChoiceField(choices=["ok", "breached", "too_few", "not_measured"])
    sentence = serializers.CharField()
    method = serializers.CharField()
    unit = serializers.CharField()
    is_ratio = serializers.BooleanField()
    before = serializers.FloatField(allow_null=True)
    after = serializers.FloatField(allow_null=True)
    before_count = serializers.IntegerField()
    after_count = serializers.IntegerField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    limit = serializers.FloatField(allow_null=True)
    ceiling = serializers.FloatField(allow_null=True)


class WatchOutput(serializers.Serializer[Any]):
    """One watch with its newest figures."""

    id = serializers.UUIDField(source="watch.uuid")
    state = serializers.ChoiceField(choices=STATES)
    sentence = serializers.CharField()
    prompt = serializers.CharField(source="watch.deployment.prompt.name")
    version = serializers.CharField(source="watch.deployment.version.number")
    model = serializers.CharField(source="watch.deployment.model")
    environment = serializers.CharField()
    before = serializers.CharField(help_text="what was live before; empty for nothing")
    promotion = serializers.IntegerField(source="watch.promotion.number", default=None, allow_null=True)
    rolls_back = serializers.BooleanField(source="watch.rolls_back")
    rollback = serializers.UUIDField(source="watch.rollback.uuid", default=None, allow_null=True)
    started_at = serializers.DateTimeField(source="watch.started_at")
    until = serializers.DateTimeField(source="watch.until")
    looked_at = serializers.DateTimeField(source="watch.looked_at", allow_null=True)
    breached_at = serializers.DateTimeField(source="watch.breached_at", allow_null=True)
    calls = serializers.IntegerField(source="report.after_calls", default=0)
    calls_before = serializers.IntegerField(source="report.before_calls", default=0)
    guardrails = GuardrailOutput(many=True, source="report.rails", default=[])


class WatchesOutput(serializers.Serializer[Any]):
    """Watches, those that still watch first."""

    items = WatchOutput(many=True)
