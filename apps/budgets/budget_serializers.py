"""Shapes of spend budgets in the API. Money is decimal text, shares 0 and up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.budgets import thresholds
from apps.budgets.scopes import SpendScope
from apps.budgets.spend_periods import PeriodKind
from apps.core import money
from apps.core.rest import StrictSerializer

PERIODS = [one.value for one in PeriodKind]


@extend_schema_field(OpenApiTypes.STR)
class ExactMoney(serializers.Field):  # type: ignore[type-arg]
    """Dollars as text, to the last digit."""

    def to_representation(self, value: Decimal) -> str | None:
        """As plain decimal text."""
        return money.as_json(value)


class BudgetScope(StrictSerializer):
    """Whose spend; what is left out or empty takes every one."""

    environment = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    feature = serializers.CharField(required=False, default="", allow_blank=True, max_length=128)
    provider = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    model = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    source = serializers.CharField(  # type: ignore[assignment]  # a field of that name, not where a field is read from
        required=False, default="", allow_blank=True, max_length=64
    )
    user_id = serializers.CharField(required=False, default="", allow_blank=True, max_length=256)


class BudgetPreviewInput(StrictSerializer):
    """What a budget would say."""

    period = serializers.ChoiceField(choices=PERIODS)
    amount_usd = serializers.DecimalField(max_digits=20, decimal_places=6, min_value=Decimal("0.000001"))
    thresholds = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=thresholds.HIGHEST),
        required=False,
        default=list(thresholds.USUAL),
        min_length=1,
        max_length=thresholds.MOST,
        help_text="percent",
    )
    scope = BudgetScope(required=False, default=dict)


class BudgetInput(BudgetPreviewInput):
    """A budget as it is made or changed."""

    name = serializers.CharField(max_length=120)
    hard = serializers.BooleanField(required=False, default=False, help_text="the gateway refuses what exceeds it")


def scope_of(told: dict[str, Any]) -> SpendScope:
    """The validated scope."""
    return SpendScope(**told)


class BudgetAlertOutput(serializers.Serializer[Any]):
    """What was told. `threshold` is percent, 0 for a forecast."""

    kind = serializers.ChoiceField(choices=["threshold", "forecast"])
    period_on = serializers.DateField()
    threshold = serializers.IntegerField()
    amount_usd = ExactMoney()
    spent_usd = ExactMoney()
    unpriced_calls = serializers.IntegerField()
    crosses_on = serializers.DateField(allow_null=True)
    at = serializers.DateTimeField()
    rearmed_at = serializers.DateTimeField(allow_null=True)


class BudgetOutput(serializers.Serializer[Any]):
    """A budget and where it stands in its running period. The forecast holds in eight of ten cases."""

    id = serializers.UUIDField(source="budget.uuid")
    name = serializers.CharField(source="budget.name")
    period = serializers.CharField(source="budget.period")
    amount_usd = ExactMoney(source="budget.amount_usd")
    hard = serializers.BooleanField(source="budget.is_hard")
    thresholds = serializers.ListField(child=serializers.IntegerField(), source="budget.thresholds")
    scope = BudgetScope(source="budget.scope")
    archived_at = serializers.DateTimeField(source="budget.archived_at", allow_null=True)
    current = serializers.CharField(source="period.key", help_text="2026-11-24 or 2026-11")
    start = serializers.DateTimeField(source="period.start")
    end = serializers.DateTimeField(source="period.end")
    spent_usd = ExactMoney(source="spend.cost_usd")
    left_usd = ExactMoney()
    share = ExactMoney()
    calls = serializers.IntegerField(source="spend.calls")
    unpriced_calls = serializers.IntegerField(source="spend.unpriced_calls")
    forecast_low_usd = serializers.FloatField(source="ahead.low", default=None, allow_null=True)
    forecast_usd = serializers.FloatField(source="ahead.middle", default=None, allow_null=True)
    forecast_high_usd = serializers.FloatField(source="ahead.high", default=None, allow_null=True)
    crosses_on = serializers.DateField(allow_null=True)
    alerts = BudgetAlertOutput(many=True)


class BudgetsOutput(serializers.Serializer[Any]):
    """Budgets by name."""

    items = BudgetOutput(many=True)


class BudgetPastOutput(serializers.Serializer[Any]):
    """One past period and the thresholds that it reached."""

    period = serializers.CharField(source="period.key")
    spent_usd = ExactMoney()
    calls = serializers.IntegerField()
    reached = serializers.ListField(child=serializers.IntegerField())


class BudgetPreviewOutput(serializers.Serializer[Any]):
    """The past as the budget would have seen it; `matches` is false where no call is in its scope."""

    matches = serializers.BooleanField()
    calls = serializers.IntegerField()
    periods = BudgetPastOutput(many=True)
