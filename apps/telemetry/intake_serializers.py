"""Shapes of the account of the intake."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class IntakeQuery(serializers.Serializer[Any]):
    """Which stretch of time: the last 24 hours when left out."""

    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range, included")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included")


class CountsOutput(serializers.Serializer[Any]):
    """Items: received = stored + updated + duplicates + rejected."""

    requests = serializers.IntegerField()
    received = serializers.IntegerField()
    stored = serializers.IntegerField()
    updated = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = serializers.IntegerField()
    last_at = serializers.DateTimeField(allow_null=True)


class NamedCountsOutput(CountsOutput):
    """The same of one key or client; the name is null when it is not known."""

    name = serializers.CharField(allow_null=True)


class ReasonOutput(serializers.Serializer[Any]):
    """Why items were rejected, with the first of them in the range."""

    code = serializers.CharField(allow_null=True, help_text="null: rejected before reasons were counted")
    items = serializers.IntegerField()
    mend = serializers.CharField(help_text="what to change")
    first_at = serializers.DateTimeField(allow_null=True)
    message = serializers.CharField(allow_null=True)
    sample = serializers.CharField(allow_null=True, help_text="the beginning of the item")


class RefusalOutput(serializers.Serializer[Any]):
    """Requests refused whole, whose items are not counted as received."""

    key = serializers.CharField(allow_null=True)
    door = serializers.CharField()
    code = serializers.CharField()
    status = serializers.IntegerField()
    requests = serializers.IntegerField()
    last_at = serializers.DateTimeField()
    client = serializers.CharField(allow_null=True)
    message = serializers.CharField()
    mend = serializers.CharField(help_text="what to change")


class UnpricedOutput(serializers.Serializer[Any]):
    """A model without a price."""

    provider = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    unpriced_calls = serializers.IntegerField()
    calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()


class ScopeOutput(serializers.Serializer[Any]):
    """An instrumentation."""

    name = serializers.CharField(allow_null=True)
    spans = serializers.IntegerField()
    last_at = serializers.DateTimeField()


class ClientCostOutput(serializers.Serializer[Any]):
    """Calls whose cost is the client's own, since no price is known."""

    provider = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    calls = serializers.IntegerField()
    cost_usd = serializers.CharField()


class LagOutput(serializers.Serializer[Any]):
    """From the end of a span to its arrival."""

    spans = serializers.IntegerField()
    p50_ms = serializers.IntegerField(allow_null=True)
    p95_ms = serializers.IntegerField(allow_null=True)
    p99_ms = serializers.IntegerField(allow_null=True)


class RecentOutput(serializers.Serializer[Any]):
    """Of the newest spans of the last hours, whatever the range."""

    spans = serializers.IntegerField()
    since = serializers.DateTimeField(allow_null=True)
    scopes = ScopeOutput(many=True)
    flags = serializers.DictField(child=serializers.IntegerField())
    lag = LagOutput()
    client_costs = ClientCostOutput(many=True)


class BacklogOutput(serializers.Serializer[Any]):
    """What waits to be worked through, and since when."""

    dirty_hours = serializers.IntegerField()
    dirty_since = serializers.DateTimeField(allow_null=True)
    fresh = serializers.IntegerField()
    fresh_since = serializers.DateTimeField(allow_null=True)
    stuck = serializers.IntegerField()
    unsettled = serializers.IntegerField()
    unsettled_since = serializers.DateTimeField(allow_null=True)


class IntakeOutput(serializers.Serializer[Any]):
    """What was sent in the range and what became of it."""

    vars()["from"] = serializers.DateTimeField()
    to = serializers.DateTimeField()
    total = CountsOutput()
    reasons = ReasonOutput(many=True)
    refused_requests = serializers.IntegerField()
    refusals = RefusalOutput(many=True)
    keys = NamedCountsOutput(many=True)
    clients = NamedCountsOutput(many=True)
    unpriced = UnpricedOutput(many=True)
    recent = RecentOutput()
    backlog = BacklogOutput()
