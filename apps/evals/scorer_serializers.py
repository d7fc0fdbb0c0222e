"""Shapes of scorers and calibrations in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.evals.calibration_rows import MOST_ROWS
from apps.evals.models import Calibration, ScorerVersion
from apps.evals.scoring.kinds import Config
from apps.evals.selectors.calibrations import verdict_of
from apps.evals.selectors.scorers import ScorerLine
from apps.evals.types import Case

OPEN_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": {}}


@extend_schema_field(OPEN_OBJECT)
class ObjectField(serializers.DictField):
    """A JSON object whose names the kind of scorer decides."""


class ScorersQuery(serializers.Serializer[Any]):
    """Which scorers."""

    archived = serializers.BooleanField(required=False, default=False, help_text="archived ones too")


class ScorerInput(StrictSerializer):
    """A new scorer."""

    name = serializers.CharField(max_length=200)
    kind = serializers.CharField(max_length=64, help_text="such as exact, numeric, json_fields, judge")
    config = ObjectField(required=False, default=dict, help_text="settings of the kind; left out: its defaults")
    slug = serializers.CharField(required=False, default="", allow_blank=True, help_text="empty: made from the name")
    description = serializers.CharField(required=False, default="", allow_blank=True, max_length=10_000)
    pass_mark = serializers.FloatField(required=False, default=0.5, min_value=0, max_value=1)
    note = serializers.CharField(required=False, default="", allow_blank=True, max_length=10_000)
    secret = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        write_only=True,
        help_text="of an http scorer: sent as a bearer token, never shown again",
    )


class ScorerChanges(StrictSerializer):
    """What to change about a scorer; what it does is changed by a new version."""

    name = serializers.CharField(required=False, max_length=200)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    is_archived = serializers.BooleanField(required=False)


class ScorerVersionInput(StrictSerializer):
    """A new version."""

    config = ObjectField()
    pass_mark = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=0, max_value=1, help_text="null keeps the newest's"
    )
    note = serializers.CharField(required=False, default="", allow_blank=True, max_length=10_000)
    secret = serializers.CharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        default=None,
        write_only=True,
        help_text="null keeps the key while the address stays; empty removes it",
    )


class ScorerVersionOutput(serializers.Serializer[ScorerVersion]):
    """What a scorer does from this version on."""

    version = serializers.IntegerField(source="number")
    config = serializers.SerializerMethodField()
    config_hash = serializers.CharField()
    pass_mark = serializers.FloatField()
    note = serializers.CharField()
    made_at = serializers.DateTimeField()
    by = serializers.CharField(source="actor_name")

    @extend_schema_field(OPEN_OBJECT)
    def get_config(self, version: ScorerVersion) -> Config:
        """The settings, complete. Of a key they say only whether there is one."""
        if "secret" not in version.config:
            return dict(version.config)
        return {**version.config, "secret": "set" if version.config["secret"] else ""}


class ScorerOutput(serializers.Serializer[ScorerLine]):
    """A scorer with its newest version."""

    slug = serializers.CharField(source="scorer.slug")
    name = serializers.CharField(source="scorer.name")
    description = serializers.CharField(source="scorer.description")
    kind = serializers.CharField(source="scorer.kind")
    group = serializers.SerializerMethodField()
    is_judge = serializers.SerializerMethodField(help_text="only calibrated judges may gate")
    is_archived = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(source="scorer.created_at")
    newest = ScorerVersionOutput(source="version")

    def get_group(self, line: ScorerLine) -> str:
        """The group of its kind; empty when that is not installed."""
        return line.kind.group if line.kind is not None else ""

    def get_is_judge(self, line: ScorerLine) -> bool:
        """Whether it may gate only after a calibration."""
        return line.kind is not None and line.kind.is_judge

    def get_is_archived(self, line: ScorerLine) -> bool:
        """Whether it is off the lists."""
        return line.scorer.archived_at is not None


class ScorersOutput(serializers.Serializer[Any]):
    """All of them, by name."""

    items = ScorerOutput(many=True)


class ScorerVersionsOutput(serializers.Serializer[Any]):
    """All of a scorer's versions, newest first."""

    items = ScorerVersionOutput(many=True)


class CaseInput(StrictSerializer):
    """What a scorer looks at."""

    variables = ObjectField(required=False, default=dict)
    messages = serializers.ListField(child=ObjectField(), required=False, default=list)
    expected = serializers.JSONField(required=False, allow_null=True, default=None)
    context = serializers.ListField(  # type: ignore[assignment]
        child=ObjectField(), required=False, default=list, help_text='documents: {"id", "content", "title"?}'
    )
    metadata = ObjectField(required=False, default=dict)
    output = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=1_000_000)
    tool_calls = serializers.ListField(child=ObjectField(), required=False, default=list)
    steps = serializers.ListField(child=ObjectField(), required=False, default=list)
    finish_reason = serializers.CharField(required=False, allow_null=True, default=None)
    latency_ms = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)
    ttft_ms = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)
    cost_usd = serializers.DecimalField(
        max_digits=20, decimal_places=12, required=False, allow_null=True, default=None, min_value=0
    )
    other_output = serializers.CharField(required=False, allow_null=True, allow_blank=True, default=None)


def case_of(told: dict[str, Any]) -> Case:
    """The case of a validated body."""
    lists = {name: tuple(told[name]) for name in ("messages", "context", "tool_calls", "steps")}
    return Case(**{**told, **lists})


class TryInput(StrictSerializer):
    """A case, and which version scores it."""

    case = CaseInput()
    version = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="null: the newest")


class TriedOutput(serializers.Serializer[Any]):
    """A score, or why there is none."""

    state = serializers.CharField(source="score.state", help_text="scored, not_scored or error")
    value = serializers.FloatField(source="score.value", allow_null=True)
    reason = serializers.CharField(source="score.reason")
    label = serializers.CharField(source="score.label")  # type: ignore[assignment]
    details = serializers.SerializerMethodField()
    is_passed = serializers.BooleanField(allow_null=True)
    calls = serializers.IntegerField()
    cost_usd = serializers.DecimalField(max_digits=20, decimal_places=12, allow_null=True)
    trace_id = serializers.CharField()

    @extend_schema_field(OPEN_OBJECT)
    def get_details(self, tried: Any) -> dict[str, Any]:
        """What stands beside the reason, such as each judge's verdict."""
        return dict(tried.score.details)


class CalibrationInput(StrictSerializer):
    """A judge to set beside people. Labels come as rows, or from the review queue."""

    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=200)
    version = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="null: the newest")
    floor = serializers.FloatField(required=False, default=0.6, min_value=0, max_value=1)
    rows = serializers.ListField(
        child=ObjectField(),
        required=False,
        default=list,
        max_length=MOST_ROWS,
        help_text='cases with "output" and "label" or "labels"; for pairs "other_output" too',
    )
    from_reviews_days = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=3650,
        help_text="in place of rows: what people found good or bad in the review queue in so many days",
    )


class CalibrationOutput(serializers.Serializer[Calibration]):
    """A judge beside people."""

    id = serializers.UUIDField(source="uuid")
    name = serializers.CharField()
    scorer = serializers.CharField(source="version.scorer.slug")
    version = serializers.IntegerField(source="version.number")
    state = serializers.CharField(help_text="queued, running, finished, failed or canceled")
    error = serializers.CharField()
    labels_from = serializers.CharField()
    items = serializers.IntegerField(source="items_total")
    floor = serializers.FloatField(source="floor_kappa")
    is_licensed = serializers.BooleanField(help_text="whether this version may decide a gate")
    reason = serializers.SerializerMethodField()
    figures = serializers.SerializerMethodField()
    spent_usd = serializers.DecimalField(max_digits=20, decimal_places=12)
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_reason(self, calibration: Calibration) -> str:
        """Why it may gate or not, in a sentence."""
        return verdict_of(calibration)

    @extend_schema_field({**OPEN_OBJECT, "nullable": True})
    def get_figures(self, calibration: Calibration) -> Any:
        """Agreement, kappa, confusion and so on (docs/judges.md); null until it ended."""
        return calibration.figures


class CalibrationsOutput(serializers.Serializer[Any]):
    """A scorer's calibrations, newest first."""

    items = CalibrationOutput(many=True)
