"""Shape of API input and output."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.providers.models import Price


class PriceQuery(serializers.Serializer[Any]):
    """Which prices."""

    model = serializers.CharField(required=False, default="", max_length=200, help_text="a part of the model's name")
    provider = serializers.CharField(required=False, default="", max_length=64, help_text="how the provider begins")
    source = serializers.ChoiceField(choices=Price.Source.choices, required=False, default="", allow_blank=True)  # type: ignore[assignment]
    on = serializers.DateField(
        required=False, default=None, allow_null=True, help_text="a day (UTC); today if left out"
    )
    cursor = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=1, max_value=2**62)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class PriceInput(StrictSerializer):
    """A price of the project's own."""

    model = serializers.CharField(max_length=200, help_text="as calls name it")
    provider = serializers.CharField(
        required=False, default="", max_length=64, allow_blank=True, help_text="empty: any"
    )
    starts_on = serializers.DateField(
        required=False, default=None, allow_null=True, help_text="today if left out (UTC)"
    )
    ends_on = serializers.DateField(
        required=False, default=None, allow_null=True, help_text="the first day on which it no longer holds"
    )
    rates = serializers.DictField(help_text='dollars per million tokens as text: {"input": "2.5", "output": "10"}')


class PriceEndInput(StrictSerializer):
    """When an own price ends."""

    ends_on = serializers.DateField(
        required=False, default=None, allow_null=True, help_text="the first day without it; today if left out (UTC)"
    )


class PriceOutput(serializers.Serializer[Any]):
    """A price."""

    id = serializers.UUIDField(source="uuid")
    source = serializers.ChoiceField(choices=Price.Source.choices)  # type: ignore[assignment]
    provider = serializers.CharField()
    model = serializers.CharField()
    mode = serializers.CharField()
    starts_on = serializers.DateField()
    ends_on = serializers.DateField(allow_null=True)
    rates = serializers.DictField()


class PricePageOutput(serializers.Serializer[Any]):
    """Some prices in the order of their names."""

    items = PriceOutput(many=True)
    next = serializers.CharField(allow_null=True)
