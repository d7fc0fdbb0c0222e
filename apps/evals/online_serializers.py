"""Shapes of online evals in the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.evals.models import OnlineItem
from apps.evals.selectors.online import OnlineLine


class OnlineFilters(StrictSerializer):
    """Which calls; what is empty does not filter."""

    environment = serializers.CharField(required=False, allow_blank=True, max_length=64)
    feature = serializers.CharField(required=False, allow_blank=True, max_length=128)
    model = serializers.CharField(required=False, allow_blank=True, max_length=300)
    prompt_name = serializers.CharField(required=False, allow_blank=True, max_length=200)


class OnlineScorerInput(StrictSerializer):
    """A scorer; without a version the newest, which is then kept."""

    slug = serializers.CharField(max_length=100)
    version = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)


class OnlineInput(StrictSerializer):
    """An online eval."""

    name = serializers.CharField(max_length=200)
    scorers = OnlineScorerInput(many=True)
    filters = OnlineFilters(required=False, default=dict)
    percent = serializers.DecimalField(
        max_digits=6, decimal_places=3, min_value=Decimal("0.001"), max_value=Decimal(100)
    )
    most_a_day = serializers.IntegerField(required=False, default=500, min_value=1, max_value=100_000)
    budget_usd_a_day = serializers.DecimalField(
        required=False, allow_null=True, default=None, max_digits=18, decimal_places=10, min_value=Decimal(0)
    )


class OnlineChange(StrictSerializer):
    """What shall be different; the rest stays."""

    name = serializers.CharField(required=False, max_length=200)
    scorers = OnlineScorerInput(many=True, required=False)
    filters = OnlineFilters(required=False)
    percent = serializers.DecimalField(
        required=False, max_digits=6, decimal_places=3, min_value=Decimal("0.001"), max_value=Decimal(100)
    )
    most_a_day = serializers.IntegerField(required=False, min_value=1, max_value=100_000)
    budget_usd_a_day = serializers.DecimalField(
        required=False, allow_null=True, max_digits=18, decimal_places=10, min_value=Decimal(0)
    )
    is_on = serializers.BooleanField(required=False, help_text="false pauses it")


class OnlineQuery(serializers.Serializer[Any]):
    """How many days are counted."""

    days = serializers.IntegerField(required=False, default=14, min_value=1, max_value=90)


class ItemsQuery(serializers.Serializer[Any]):
    """Which sampled calls."""

    trace = serializers.RegexField(r"^[0-9a-fA-F]{32}$", required=False, default="")
    state = serializers.ChoiceField(["waiting", "done", "not_scored", "failed"], required=False, default="")
    cursor = serializers.IntegerField(required=False, default=None, min_value=1)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class DayOutput(serializers.Serializer[Any]):
    """One day of UTC, by when calls arrived."""

    day = serializers.DateField()
    matched = serializers.IntegerField()
    sampled = serializers.IntegerField()
    left_out = serializers.IntegerField(help_text="sampled, but beyond the most of a day")
    waiting = serializers.IntegerField()
    scored = serializers.IntegerField()
    not_scored = serializers.IntegerField()
    failed = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)
    spent_usd = serializers.DecimalField(max_digits=20, decimal_places=12)


class WhyOutput(serializers.Serializer[Any]):
    """Why so many have no score."""

    state = serializers.CharField()
    reason = serializers.CharField()
    words = serializers.CharField()
    sentence = serializers.CharField()
    count = serializers.IntegerField()


class CoverageOutput(serializers.Serializer[Any]):
    """How much was scored."""

    sentence = serializers.CharField()
    matched = serializers.IntegerField()
    sampled = serializers.IntegerField()
    left_out = serializers.IntegerField()
    waiting = serializers.IntegerField()
    scored = serializers.IntegerField()
    not_scored = serializers.IntegerField()
    failed = serializers.IntegerField()
    spent_usd = serializers.DecimalField(max_digits=20, decimal_places=12)
    days = DayOutput(many=True)
    whys = WhyOutput(many=True)


class OnlineScorerOutput(serializers.Serializer[Any]):
    """A scorer, pinned."""

    slug = serializers.CharField(source="version.scorer.slug")
    version = serializers.IntegerField(source="version.number")


class OnlineOutput(serializers.Serializer[OnlineLine]):
    """An online eval and what became of the calls."""

    id = serializers.UUIDField(source="online.uuid")
    name = serializers.CharField(source="online.name")
    is_on = serializers.BooleanField(source="online.is_on")
    filters = serializers.DictField(source="online.filters")
    percent = serializers.DecimalField(source="online.percent", max_digits=6, decimal_places=3)
    most_a_day = serializers.IntegerField(source="online.most_a_day")
    budget_usd_a_day = serializers.DecimalField(
        source="online.budget_usd_a_day", max_digits=20, decimal_places=12, allow_null=True
    )
    scorers = OnlineScorerOutput(many=True)
    seen_until = serializers.DateTimeField(source="online.seen_until", allow_null=True)
    coverage = CoverageOutput()


class OnlinesOutput(serializers.Serializer[Any]):
    """The project's online evals."""

    items = OnlineOutput(many=True)


class OnlineItemOutput(serializers.Serializer[OnlineItem]):
    """What became of one call with one scorer."""

    trace_id = serializers.CharField()
    span_id = serializers.CharField()
    call_at = serializers.DateTimeField()
    scorer = serializers.CharField(source="scorer.version.scorer.slug")
    scorer_version = serializers.IntegerField(source="scorer.version.number")
    state = serializers.CharField(help_text="waiting, done, not_scored or failed")
    value = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(help_text="why there is no score")
    sentence = serializers.CharField()
    cost_usd = serializers.DecimalField(max_digits=20, decimal_places=12, allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)


class OnlineItemsOutput(serializers.Serializer[Any]):
    """A page of them, newest first."""

    items = OnlineItemOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class RetriedOutput(serializers.Serializer[Any]):
    """How many wait again."""

    retried = serializers.IntegerField()
