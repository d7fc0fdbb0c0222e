"""Shapes of comparisons in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.evals.compare import Settings
from apps.evals.types import Verdict

DEFAULTS = Settings()


class ComparisonQuery(serializers.Serializer[Any]):
    """Which two runs, and what loss would be accepted."""

    candidate = serializers.CharField(max_length=64, help_text="number or id of the run that may be better")
    baseline = serializers.CharField(max_length=64, help_text="number or id of the run it is held against")
    margin = serializers.FloatField(
        required=False,
        default=DEFAULTS.margin,
        min_value=0.0001,
        max_value=1,
        help_text="loss of the mean score that is still accepted; 0.02 is two points",
    )
    tail_margin = serializers.FloatField(
        required=False,
        default=DEFAULTS.tail_margin,
        min_value=0.0001,
        max_value=1,
        help_text="loss in the worst tenth that may go unseen",
    )
    examples = serializers.IntegerField(
        required=False, default=100, min_value=0, max_value=5000, help_text="how many changed examples to list"
    )


class ComparedRunOutput(serializers.Serializer[Any]):
    """One side."""

    id = serializers.UUIDField(source="uuid")
    number = serializers.IntegerField()
    prompt = serializers.CharField(source="prompt_name")
    version = serializers.CharField(source="prompt_version")
    model = serializers.CharField()
    revision = serializers.IntegerField()


class ComparisonOutput(serializers.Serializer[Any]):
    """Two runs compared. While a large comparison is computed, `state` is `computing` and there is no verdict yet."""

    state = serializers.ChoiceField(choices=["computing", "done"])
    candidate = ComparedRunOutput()
    baseline = ComparedRunOutput()
    eval_set = serializers.CharField()
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in Verdict], allow_null=True)
    sentence = serializers.CharField(allow_blank=True)
    figures = serializers.JSONField(
        allow_null=True,
        help_text="overall, scorers, slices, latency, cost and changed examples, newly failing first; differences are "
        "candidate minus baseline, scores lie in 0..1; described in the guide on statistics",
    )
