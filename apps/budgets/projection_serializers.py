"""Shapes of projections in the API. Money and shares are decimal text, shares 0 to 1."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.budgets.models import Projection
from apps.budgets.projecting import Inputs, WhatIf
from apps.budgets.projection_drift import Comparison
from apps.budgets.projection_forms import LONGEST_REASON, MOST_CALLS_A_SECOND, MOST_TOKENS
from apps.core import money
from apps.core.rest import StrictSerializer


def _decimal(low: Any, high: Any, **more: Any) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=14, decimal_places=4, min_value=Decimal(str(low)), max_value=Decimal(str(high)), **more
    )


def _tokens(**more: Any) -> serializers.DecimalField:
    return _decimal(0, 4 * MOST_TOKENS, required=False, default=Decimal(0), **more)


class InputsInput(StrictSerializer):
    """What it is worked out from."""

    traffic = serializers.ChoiceField(["typed", "measured"], required=False, default="typed")
    calls_per_second = _decimal(0, MOST_CALLS_A_SECOND, required=False, default=Decimal(0), help_text="at the peak")
    hours = serializers.ListField(
        child=_decimal(0, 1), min_length=24, max_length=24, required=False, help_text="shares of the peak by hour"
    )
    weekdays = serializers.ListField(
        child=_decimal(0, 10), min_length=7, max_length=7, required=False, help_text="factors, Monday first"
    )
    factor = _decimal("0.01", 1000, required=False, default=Decimal(1), help_text="times the measured traffic")
    traffic_uncertainty = _decimal("0.01", 3, required=False, default=Decimal("0.2"))
    tokens = serializers.ChoiceField(["typed", "telemetry", "eval"], required=False, default="telemetry")
    tokens_uncertainty = _decimal("0.01", 3, required=False, default=Decimal("0.1"), help_text="of typed tokens")
    days = serializers.IntegerField(required=False, default=28, min_value=1, max_value=92)
    input_mean = _tokens()
    input_p95 = _tokens()
    output_mean = _tokens()
    output_p95 = _tokens()
    reasoning_share = _decimal(0, 1, required=False, default=Decimal(0))
    cache_rate = _decimal(0, 1, required=False, default=None, allow_null=True, help_text="null: as in the calls")
    provider = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    model = serializers.CharField(max_length=128)
    users = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=1, max_value=10**9)
    level = serializers.ChoiceField(["0.8", "0.9", "0.95"], required=False, default="0.9")


def inputs_of(told: dict[str, Any]) -> Inputs:
    """The validated input as the projection's."""
    lists = {name: tuple(told[name]) for name in ("hours", "weekdays") if name in told}
    return Inputs(**{**told, **lists, "level": Decimal(told["level"])})


class ProjectionInput(StrictSerializer):
    """A projection to be made; with `revises` a new revision of that one."""

    name = serializers.CharField(max_length=120)
    feature = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=128, help_text="empty for every feature"
    )
    environment = serializers.CharField(max_length=64)
    inputs = InputsInput()
    revises = serializers.UUIDField(required=False, default=None, allow_null=True)
    ask = serializers.BooleanField(required=False, default=False, help_text="ask for approval at once")


class ProjectionReasonInput(StrictSerializer):
    """A reason, which an approval may leave out."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=LONGEST_REASON)


class ProjectionRejectInput(StrictSerializer):
    """A reason, so that whoever asked knows what to change."""

    reason = serializers.CharField(max_length=LONGEST_REASON)


class ProjectionAskInput(StrictSerializer):
    """No fields."""


class WhatIfModelInput(StrictSerializer):
    """A model by its names."""

    provider = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    model = serializers.CharField(max_length=128)


class WhatIfInput(StrictSerializer):
    """Models and cache rates to compare; without any, those of the project."""

    models = serializers.ListField(child=WhatIfModelInput(), required=False, default=list, max_length=8)
    cache_rates = serializers.ListField(
        child=_decimal(0, 1, allow_null=True), required=False, default=None, allow_null=True, min_length=1, max_length=6
    )


class WhatIfOutput(serializers.Serializer[Any]):
    """What a month would cost; null with the problem where it is not known."""

    provider = serializers.CharField()
    model = serializers.CharField()
    cache_rate = serializers.CharField(allow_null=True, help_text="null: as in the calls")
    month_usd = serializers.CharField(allow_null=True)
    per_call_usd = serializers.CharField(allow_null=True)
    problem = serializers.CharField()

    def to_representation(self, one: WhatIf) -> dict[str, Any]:
        """A cell of the table."""
        return {
            "provider": one.provider,
            "model": one.model,
            "cache_rate": None if one.cache_rate is None else f"{one.cache_rate:f}",
            "month_usd": money.as_json(one.numbers.month_usd) if one.numbers else None,
            "per_call_usd": money.as_json(one.numbers.per_call_usd) if one.numbers else None,
            "problem": one.problem,
        }


class WhatIfsOutput(serializers.Serializer[Any]):
    """All of them."""

    items = WhatIfOutput(many=True)


class ProjectionOutput(serializers.Serializer[Projection]):
    """One revision of a projection."""

    id = serializers.UUIDField(source="uuid")
    url = serializers.SerializerMethodField()
    lineage = serializers.UUIDField(help_text="what its revisions share")
    revision = serializers.IntegerField()
    name = serializers.CharField()
    feature = serializers.CharField()
    environment = serializers.CharField()
    state = serializers.CharField(help_text="draft, asked, approved or rejected")
    numbers = serializers.JSONField(help_text="low_usd, month_usd, high_usd at the level, and what they are made of")
    inputs = serializers.JSONField()
    price = serializers.JSONField(help_text="the price list as it was")
    content_hash = serializers.CharField()
    author = serializers.CharField(source="author_name")
    decided_by = serializers.CharField(source="decided_by_name")
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()
    asked_at = serializers.DateTimeField(allow_null=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    valid_until = serializers.DateTimeField(allow_null=True)
    actual = serializers.SerializerMethodField(help_text="this month against the projection; null where not compared")

    def get_url(self, one: Projection) -> str:
        """Its page."""
        path = reverse("projection", kwargs={"project": self.context["project"].slug, "uuid": one.uuid})
        return str(self.context["request"].build_absolute_uri(path))

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_actual(self, one: Projection) -> dict[str, Any] | None:
        """Spend, interval and effects over the same days."""
        found: Comparison | None = self.context.get("compared", {}).get(one.pk)
        if found is None:
            return None
        return {
            "from": found.first.isoformat(),
            "to": found.last.isoformat(),
            "calls": found.calls,
            "unpriced_calls": found.unpriced_calls,
            "actual_usd": money.as_json(found.actual_usd),
            "low_usd": money.as_json(found.low_usd),
            "projected_usd": money.as_json(found.projected_usd),
            "high_usd": money.as_json(found.high_usd),
            "traffic_usd": money.as_json(found.effects.traffic_usd),
            "tokens_usd": money.as_json(found.effects.tokens_usd),
            "prices_usd": money.as_json(found.effects.prices_usd),
            "has_drifted": found.has_drifted,
        }


class ProjectionsOutput(serializers.Serializer[Any]):
    """The newest revision of each, newest first."""

    items = ProjectionOutput(many=True)
