"""Shapes of experiments in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.promotions import experiment_words as words
from apps.promotions.selectors.experiments import ExperimentLine, Look
from apps.promotions.types import ExperimentState

PLAN = (
    "unit (user or session), treatments [{version, model?, name?, weight?}], control_weight, ramp, excluded, layer, "
    "primary_metric {name, direction?}, guardrails [{name, most_harm, direction?, stops?}], stops_on_mismatch, alpha, "
    "minimum_effect, planned_subjects. Metrics are error_rate, cost_per_call, latency_ms and score:<name>; shares and "
    "weights are of 10,000"
)


class ExperimentsQuery(serializers.Serializer[Any]):
    """Which experiments."""

    state = serializers.ChoiceField([one.value for one in ExperimentState], required=False, default=None)
    prompt = serializers.CharField(required=False, default="", max_length=200)
    environment = serializers.CharField(required=False, default="", max_length=64)


class ExperimentInput(StrictSerializer):
    """An experiment to be drafted."""

    name = serializers.CharField(max_length=200)
    slug = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
    hypothesis = serializers.CharField(required=False, default="", allow_blank=True, max_length=10_000)
    prompt = serializers.CharField(max_length=200)
    environment = serializers.CharField(required=False, default="production", max_length=64)
    plan = serializers.DictField(help_text=PLAN)


class ExperimentChange(StrictSerializer):
    """What shall be different; `plan` takes the place of a draft's whole plan."""

    name = serializers.CharField(required=False, max_length=200)
    hypothesis = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    plan = serializers.DictField(required=False, help_text=PLAN)


class RampInput(StrictSerializer):
    """Which way."""

    direction = serializers.ChoiceField(["next", "back"], required=False, default="next")


class StopInput(StrictSerializer):
    """Why it ends."""

    reason = serializers.CharField(max_length=2_000)


class FinishInput(StrictSerializer):
    """Which arm won."""

    winner = serializers.CharField(max_length=32)


class ExperimentLooksQuery(serializers.Serializer[Any]):
    """Which looks."""

    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)
    before = serializers.DateTimeField(required=False, default=None, help_text="looks older than this")


class ExperimentArmOutput(serializers.Serializer[Any]):
    """One candidate of an experiment."""

    name = serializers.CharField()
    version = serializers.CharField(source="version.number")
    model = serializers.CharField(help_text="empty: the version's own")
    weight = serializers.IntegerField(help_text="of 10,000 subjects that take part")
    is_control = serializers.BooleanField()


class ExperimentOutput(serializers.Serializer[ExperimentLine]):
    """An experiment with its plan, its arms, and what the newest look says."""

    id = serializers.UUIDField(source="experiment.uuid")
    slug = serializers.CharField(source="experiment.slug")
    name = serializers.CharField(source="experiment.name")
    hypothesis = serializers.CharField(source="experiment.hypothesis")
    prompt = serializers.CharField(source="experiment.prompt.name")
    environment = serializers.CharField(source="experiment.environment.slug")
    state = serializers.CharField(source="experiment.state", help_text="draft, running, stopped or finished")
    sentence = serializers.SerializerMethodField(help_text="where it stands, in words")
    unit = serializers.CharField(source="experiment.unit")
    arms = ExperimentArmOutput(many=True, help_text="a draft has no control yet: it is what is live at the start")
    ramp = serializers.ListField(child=serializers.IntegerField(), source="experiment.ramp")
    step = serializers.IntegerField(source="experiment.step")
    share = serializers.SerializerMethodField(help_text="of 10,000 subjects that take part now")
    excluded = serializers.ListField(child=serializers.CharField(), source="experiment.excluded")
    layer = serializers.CharField(source="experiment.layer")
    layer_from = serializers.IntegerField(source="experiment.layer_from")
    primary_metric = serializers.JSONField(source="experiment.primary_metric")
    guardrails = serializers.JSONField(source="experiment.guardrails")
    stops_on_mismatch = serializers.BooleanField(source="experiment.stops_on_mismatch")
    alpha = serializers.FloatField(source="experiment.alpha")
    minimum_effect = serializers.FloatField(source="experiment.minimum_effect", allow_null=True)
    planned_subjects = serializers.IntegerField(source="experiment.planned_subjects", allow_null=True)
    figures = serializers.SerializerMethodField(help_text="the newest look; null before the first")
    winner = serializers.CharField(source="experiment.winner.name", allow_null=True, default=None)
    promotion = serializers.IntegerField(source="experiment.promotion.number", allow_null=True, default=None)
    stop_reason = serializers.CharField(source="experiment.stop_reason")
    created_at = serializers.DateTimeField(source="experiment.created_at")
    created_by = serializers.CharField(source="experiment.created_by")
    started_at = serializers.DateTimeField(source="experiment.started_at", allow_null=True)
    ended_at = serializers.DateTimeField(source="experiment.ended_at", allow_null=True)

    def get_sentence(self, line: ExperimentLine) -> str:
        """The sentence of its page."""
        return words.headline(
            line.state,
            line.figures,
            winner="" if line.experiment.winner is None else line.experiment.winner.name,
            stop_reason=line.experiment.stop_reason,
        )

    def get_share(self, line: ExperimentLine) -> int:
        """0 unless it is running."""
        return line.experiment.ramp[line.experiment.step] if line.state is ExperimentState.RUNNING else 0

    @extend_schema_field({"type": "object", "nullable": True})
    def get_figures(self, line: ExperimentLine) -> dict[str, Any] | None:
        """As `experiment_figures.Figures.as_dict` writes them."""
        return None if line.figures is None else line.figures.as_dict()


class ExperimentsOutput(serializers.Serializer[Any]):
    """The project's experiments: running ones, drafts, those that are over."""

    items = ExperimentOutput(many=True)


class LookOutput(serializers.Serializer[Look]):
    """The figures at one moment, frozen."""

    at = serializers.DateTimeField()
    subjects = serializers.IntegerField()
    figures = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_figures(self, look: Look) -> dict[str, Any]:
        """The whole of it."""
        return look.figures.as_dict()


class LooksOutput(serializers.Serializer[Any]):
    """Looks, newest first."""

    items = LookOutput(many=True)
    next = serializers.DateTimeField(allow_null=True, help_text="give it as before; null at the end")


class WinnerOutput(serializers.Serializer[Any]):
    """What became of asking for the winner: a promotion, or that it is live where nothing protects it."""

    promotion = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text="the promotion's state; live where it went live at once")
