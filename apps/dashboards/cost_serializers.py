"""Shapes of what the API tells and takes about costs."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from rest_framework import serializers

from apps.core import money
from apps.core.rest import StrictSerializer
from apps.dashboards import optimise_words as words
from apps.dashboards.optimising import Kind, Suggestion
from apps.providers.models import Reprice
from apps.telemetry.repricing import Preview, Sums
from apps.telemetry.unpriced import Unpriced

STATES = ["waiting", "running", "finished"]


class CostRangeQuery(serializers.Serializer[Any]):
    """Which calls."""

    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range; 90 days before its end")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included; now when left out")
    environment = serializers.CharField(required=False, allow_blank=True, max_length=64, help_text="all when left out")
    feature = serializers.CharField(required=False, allow_blank=True, max_length=128, help_text="all when left out")


class DriverOutput(serializers.Serializer[Any]):
    """What moved most in the day's direction, against the median of the same weekday in the four weeks before."""

    dimension = serializers.CharField()
    value = serializers.CharField()
    change_usd = serializers.FloatField()
    share = serializers.FloatField(help_text="of the whole change; above 1 when others moved the other way")
    calls_ratio = serializers.FloatField(allow_null=True)
    price_ratio = serializers.FloatField(allow_null=True, help_text="of the cost per call")


class AnomalyOutput(serializers.Serializer[Any]):
    """A day out of its usual range. Dollars are rounded sums."""

    day = serializers.DateField(help_text="of the project's time zone")
    cost_usd = serializers.FloatField()
    low_usd = serializers.FloatField(source="usual.low")
    expected_usd = serializers.FloatField(source="usual.middle")
    high_usd = serializers.FloatField(source="usual.high")
    drivers = DriverOutput(many=True)


class AnomaliesOutput(serializers.Serializer[Any]):
    """Unusual days among the last fourteen whole ones, the newest first."""

    items = AnomalyOutput(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null: the answer is whole")


class SuggestionOutput(serializers.Serializer[Any]):
    """Something to change. `facts` are the numbers that the saving comes from."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    subject = serializers.CharField(help_text="a feature, or a prompt version; empty: calls without a feature")
    saving_usd = serializers.SerializerMethodField(help_text="an estimate for 30 days")
    advice = serializers.SerializerMethodField()
    method = serializers.SerializerMethodField(help_text="how the saving was worked out")
    facts = serializers.DictField()

    def get_saving_usd(self, item: Suggestion) -> str | None:
        """Dollars, every digit."""
        return money.as_json(item.saving_usd)

    def get_advice(self, item: Suggestion) -> str:
        """In a sentence."""
        return words.advice(item)

    def get_method(self, item: Suggestion) -> str:
        """In a sentence."""
        return words.method(item)


class SuggestionsOutput(serializers.Serializer[Any]):
    """What could be changed, what saves most first."""

    items = SuggestionOutput(many=True)
    not_found = serializers.DictField(
        child=serializers.CharField(), help_text="for each kind without a suggestion, why there is none"
    )
    next = serializers.CharField(allow_null=True, help_text="always null: the answer is whole")


class AnomaliesQuery(serializers.Serializer[Any]):
    """Which calls."""

    environment = serializers.CharField(required=False, allow_blank=True, max_length=64, help_text="all when left out")
    feature = serializers.CharField(required=False, allow_blank=True, max_length=128, help_text="all when left out")


class UnpricedModelOutput(serializers.Serializer[Unpriced]):
    """A model with calls that have no price."""

    provider = serializers.CharField()
    model = serializers.CharField()
    unpriced_calls = serializers.IntegerField()
    calls = serializers.IntegerField(help_text="all of its calls")
    input_tokens = serializers.IntegerField(help_text="of its calls on days with unpriced ones")
    output_tokens = serializers.IntegerField()
    first_day = serializers.SerializerMethodField(help_text="the first UTC day with an unpriced call")
    last_day = serializers.SerializerMethodField()

    def get_first_day(self, item: Unpriced) -> str:
        """As `2026-11-24`."""
        return item.first_at.date().isoformat()

    def get_last_day(self, item: Unpriced) -> str:
        """As `2026-11-24`."""
        return item.last_at.date().isoformat()


class UnpricedPage(serializers.Serializer[Any]):
    """The models with unpriced calls, those with most first."""

    items = UnpricedModelOutput(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null: the answer is whole")


class RepriceInput(StrictSerializer):
    """Which costs to work out anew."""

    model = serializers.CharField(max_length=200, help_text="as calls name it")
    provider = serializers.CharField(required=False, default="", allow_blank=True, max_length=64)
    starts_on = serializers.DateField(help_text="calls from this UTC day on; the price of `rates` holds from it too")
    includes_priced = serializers.BooleanField(
        required=False, default=False, help_text="calls that have a cost already, too"
    )
    rates = serializers.DictField(
        required=False,
        default=None,
        allow_null=True,
        help_text="a price to set before, dollars per million tokens as text; without it, the prices there are",
    )
    apply = serializers.BooleanField(required=False, default=False, help_text="false: only tell what would change")


class SumsOutput(serializers.Serializer[Any]):
    """Calls that were looked at, and exact sums of dollars; an unknown cost counts nothing."""

    seen_calls = serializers.IntegerField()
    changed_calls = serializers.IntegerField()
    newly_priced_calls = serializers.IntegerField()
    still_unpriced_calls = serializers.IntegerField()
    before_usd = serializers.SerializerMethodField()
    after_usd = serializers.SerializerMethodField()

    def get_before_usd(self, sums: Sums | Reprice) -> str | None:
        """Dollars, every digit; null when none of the calls had a known cost."""
        return money.as_json(None if _sums(sums).is_unknown_before else sums.before_usd)

    def get_after_usd(self, sums: Sums | Reprice) -> str | None:
        """Dollars, every digit; null when none of the calls has one."""
        return money.as_json(None if _sums(sums).is_unknown_after else sums.after_usd)


def _sums(held: Sums | Reprice) -> Sums:
    return held if isinstance(held, Sums) else Sums(*(getattr(held, field.name) for field in fields(Sums)))


class PreviewOutput(SumsOutput):
    """What would change."""

    is_whole = serializers.BooleanField(help_text="false: of the oldest 20,000 calls alone")
    days = serializers.ListField(child=serializers.DictField())


class RepriceOutput(SumsOutput):
    """What is or was worked out anew."""

    id = serializers.UUIDField(source="uuid")
    provider = serializers.CharField()
    model = serializers.CharField()
    status = serializers.ChoiceField(choices=STATES)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    includes_priced = serializers.BooleanField()
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class RepricesOutput(serializers.Serializer[Any]):
    """The newest 50, the newest first."""

    items = RepriceOutput(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null")


class RepriceAnswer(serializers.Serializer[Any]):
    """The preview, or with `apply` the work that was begun."""

    preview = PreviewOutput(allow_null=True)
    reprice = RepriceOutput(allow_null=True)


def told_preview(preview: Preview) -> dict[str, Any]:
    """A preview in the shape of PreviewOutput."""
    days = [{"day": day.isoformat(), **SumsOutput(sums).data} for day, sums in preview.days.items()]
    return {**SumsOutput(preview.sums).data, "is_whole": preview.is_whole, "days": days}
