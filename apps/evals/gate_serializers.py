"""Shapes of gates and their reports in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.evals.models import Gate
from apps.evals.selectors.gates import ReportView

CONDITIONS = (
    "scorers [{slug, version?, threshold?, minimum_mean?, informs_only?}], by, minimum_examples, minimum_pass_rate, "
    "maximum_error_rate, maximum_scorer_error_rate, maximum_not_scored_rate, baseline {kind, environment?, run?, "
    "margin, tail_margin}, slices [{name, minimum_pass_rate?, minimum_mean?, minimum_examples?}], critical_slices, "
    "critical_examples, maximum_latency_p50_ms, maximum_latency_p99_ms, maximum_cost_per_call_usd, model, "
    "repetitions, budget_usd"
)


class GatesQuery(serializers.Serializer[Any]):
    """Which gates."""

    eval_set = serializers.CharField(required=False, default="", help_text="of this set alone")
    archived = serializers.BooleanField(required=False, default=False, help_text="also those that are archived")


class GateInput(StrictSerializer):
    """A gate to be made."""

    name = serializers.CharField(max_length=200)
    slug = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
    eval_set = serializers.CharField(max_length=100)
    description = serializers.CharField(required=False, default="", allow_blank=True, max_length=10_000)
    feature = serializers.CharField(required=False, default="", allow_blank=True, max_length=128)
    conditions = serializers.DictField(help_text=CONDITIONS)


class GateChange(StrictSerializer):
    """What of a gate shall be different; `conditions` take the place of all that were there."""

    name = serializers.CharField(required=False, max_length=200)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    feature = serializers.CharField(required=False, allow_blank=True, max_length=128)
    conditions = serializers.DictField(required=False, help_text=CONDITIONS)
    archived = serializers.BooleanField(required=False, help_text="false puts an archived gate back")


class CheckInput(StrictSerializer):
    """What to judge: a run, or a version of a prompt that is run first when it was not yet."""

    run = serializers.CharField(required=False, default="", max_length=64, help_text="the number or the id of a run")
    baseline = serializers.CharField(
        required=False, default="", max_length=64, help_text="a run in place of the baseline that the gate names"
    )
    prompt = serializers.CharField(required=False, default="", max_length=200)
    version = serializers.CharField(
        required=False, default="", max_length=64, help_text="such as 1.2.0; empty for the newest, draft for your draft"
    )
    model = serializers.CharField(required=False, default="", max_length=300)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of a run and a prompt."""
        if bool(attrs["run"]) == bool(attrs["prompt"]):
            raise serializers.ValidationError({"run": ["Name a run, or a prompt with its version."]})
        return attrs


class ReportsQuery(serializers.Serializer[Any]):
    """Which reports."""

    cursor = serializers.UUIDField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class ReportQuery(serializers.Serializer[Any]):
    """How to write the report."""

    format = serializers.ChoiceField(["json", "junit", "markdown"], required=False, default="json")


class GateOutput(serializers.Serializer[Gate]):
    """A gate with its conditions, complete."""

    id = serializers.UUIDField(source="uuid")
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    eval_set = serializers.CharField(source="eval_set.slug")
    feature = serializers.CharField()
    conditions = serializers.JSONField(source="config")
    conditions_hash = serializers.CharField(source="config_hash")
    is_archived = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    changed_at = serializers.DateTimeField()

    def get_is_archived(self, gate: Gate) -> bool:
        """True when it is off the lists."""
        return gate.archived_at is not None


class GatesOutput(serializers.Serializer[Any]):
    """The project's gates."""

    items = GateOutput(many=True)


class ConditionOutput(serializers.Serializer[Any]):
    """One condition, judged."""

    name = serializers.CharField()
    title = serializers.CharField()
    state = serializers.CharField(source="state.value", help_text="passed, failed or cannot_tell")
    number = serializers.FloatField(allow_null=True)
    target = serializers.FloatField(allow_null=True)
    unit = serializers.CharField(help_text="share, points, count, ms, usd or empty")
    direction = serializers.CharField(help_text="at_least, at_most or empty")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    sentence = serializers.CharField()


class ReportOutput(serializers.Serializer[ReportView]):
    """A gate's verdict over one run, frozen."""

    id = serializers.UUIDField(source="report.uuid")
    gate = serializers.CharField(source="report.gate.slug")
    run = serializers.IntegerField(source="report.run.number")
    run_id = serializers.UUIDField(source="report.run.uuid")
    baseline = serializers.IntegerField(source="report.baseline.number", allow_null=True, default=None)
    verdict = serializers.CharField(source="verdict.value", help_text="passed, failed or cannot_tell")
    sentence = serializers.CharField()
    conditions = ConditionOutput(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    judged_by = serializers.SerializerMethodField(help_text="the conditions as they were")
    bound_to = serializers.SerializerMethodField(help_text="what the verdict holds for, as hashes")
    by = serializers.CharField(source="report.actor_name")
    made_at = serializers.DateTimeField(source="report.made_at")

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_judged_by(self, view: ReportView) -> dict[str, Any]:
        """The conditions."""
        return dict(view.report.config)

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_bound_to(self, view: ReportView) -> dict[str, Any]:
        """The hashes."""
        return dict(view.report.bound_to)


class WholeReportOutput(ReportOutput):
    """A report, and whether it still holds."""

    is_current = serializers.SerializerMethodField()
    why_not_current = serializers.SerializerMethodField()

    def get_is_current(self, view: ReportView) -> bool:
        """False once the conditions, the set or a scorer changed."""
        return bool(self.context["currency"].is_current)

    def get_why_not_current(self, view: ReportView) -> list[str]:
        """What changed."""
        return list(self.context["currency"].why)


class ReportsOutput(serializers.Serializer[Any]):
    """A page of reports, newest first."""

    items = ReportOutput(many=True)
    next = serializers.UUIDField(allow_null=True)


class PendingOutput(serializers.Serializer[Any]):
    """The run that has to end first; check it by its number then."""

    run = serializers.IntegerField(source="number")
    run_id = serializers.UUIDField(source="uuid")
    state = serializers.CharField()
