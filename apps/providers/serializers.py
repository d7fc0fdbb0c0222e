"""Shape of API input and output."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.providers import services
from apps.providers.models import Connection, Price
from apps.providers.types import ConnectionState


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


LIMITS = {
    "connect_seconds": "to take the connection",
    "first_byte_seconds": "to begin the answer",
    "idle_seconds": "between two pieces of a streamed answer",
    "total_seconds": "for the whole call",
    "attempts": "tries in all, where none can have produced an answer",
}


def _limit(name: str, **options: Any) -> serializers.IntegerField:
    low, high = services.RANGES[name]
    return serializers.IntegerField(min_value=low, max_value=high, required=False, help_text=LIMITS[name], **options)


class ConnectionInput(StrictSerializer):
    """A new connection to a provider."""

    name = serializers.CharField(max_length=120, help_text="for people")
    slug = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=64,
        help_text="the first part of its models' full names, as in `slug/gpt-4o`; from the name if left out; for good",
    )
    protocol = serializers.ChoiceField(choices=Connection.Protocol.choices)
    provider = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=64, help_text="as the price book names it"
    )
    base_url = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=500,
        help_text="such as https://api.openai.com/v1; may be empty with litellm alone",
    )
    secret = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=8192,
        write_only=True,
        help_text="the provider's key; it is sealed and never shown again",
    )
    models = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, default=list, max_length=200
    )
    connect_seconds = _limit("connect_seconds")
    first_byte_seconds = _limit("first_byte_seconds")
    idle_seconds = _limit("idle_seconds")
    total_seconds = _limit("total_seconds")
    attempts = _limit("attempts")


class ConnectionPatch(StrictSerializer):
    """What of a connection shall change. What is left out stays, except the key when the address changes."""

    name = serializers.CharField(required=False, max_length=120)
    protocol = serializers.ChoiceField(required=False, choices=Connection.Protocol.choices)
    provider = serializers.CharField(required=False, allow_blank=True, max_length=64)
    base_url = serializers.CharField(required=False, allow_blank=True, max_length=500)
    secret = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=8192,
        write_only=True,
        help_text="a new key; empty or null removes it. Left out while protocol or base_url change, it is removed too",
    )
    models = serializers.ListField(child=serializers.CharField(max_length=200), required=False, max_length=200)
    connect_seconds = _limit("connect_seconds")
    first_byte_seconds = _limit("first_byte_seconds")
    idle_seconds = _limit("idle_seconds")
    total_seconds = _limit("total_seconds")
    attempts = _limit("attempts")
    enabled = serializers.BooleanField(required=False)


class ConnectionOutput(serializers.Serializer[Any]):
    """A connection without its key."""

    id = serializers.UUIDField(source="uuid")
    slug = serializers.CharField()
    name = serializers.CharField()
    protocol = serializers.ChoiceField(choices=Connection.Protocol.choices)
    provider = serializers.CharField()
    base_url = serializers.CharField()
    has_secret = serializers.BooleanField()
    secret_hint = serializers.CharField(help_text="the last four characters of a key with at least twelve; else empty")
    models = serializers.ListField(child=serializers.CharField())
    connect_seconds = serializers.IntegerField()
    first_byte_seconds = serializers.IntegerField()
    idle_seconds = serializers.IntegerField()
    total_seconds = serializers.IntegerField()
    attempts = serializers.IntegerField()
    state = serializers.ChoiceField(choices=[state.value for state in ConnectionState])
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()
    last_checked_at = serializers.DateTimeField(allow_null=True)
    last_check_note = serializers.CharField()
    disabled_at = serializers.DateTimeField(allow_null=True)


class ConnectionPage(serializers.Serializer[Any]):
    """All connections of the project."""

    items = ConnectionOutput(many=True)
    next = serializers.CharField(allow_null=True)
