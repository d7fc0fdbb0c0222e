"""Shapes of what is live everywhere in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from apps.promotions.change_words import Change
from apps.promotions.deployment_words import EventKind, LiveLine

KINDS = [EventKind.DEPLOY, EventKind.PROMOTION, EventKind.OVERRIDE, EventKind.ROLLBACK, EventKind.AUTOMATIC]


class AllDeploymentsQuery(serializers.Serializer[Any]):
    """Which deployments."""

    prompt = serializers.CharField(required=False, default="", help_text="of this prompt alone")
    environment = serializers.CharField(required=False, default="", help_text="of this environment alone")
    live = serializers.BooleanField(required=False, default=False, help_text="only what is live now")
    cursor = serializers.UUIDField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class LiveCandidateOutput(serializers.Serializer[Any]):
    """A version on a model."""

    version = serializers.CharField()
    model = serializers.CharField(help_text="empty: the version's own")


class GateReportName(serializers.Serializer[Any]):
    """A gate report that a promotion rests on."""

    id = serializers.UUIDField()
    gate = serializers.CharField()


class EvidenceOutput(serializers.Serializer[Any]):
    """What let a version in. All of it is null or empty where the environment asks for none."""

    promotion = serializers.IntegerField(allow_null=True, help_text="the promotion's number")
    is_override = serializers.BooleanField(help_text="two people answered for going without gates")
    reports = GateReportName(many=True)
    returns_to = serializers.DateTimeField(allow_null=True, help_text="when what it returns to had gone live")
    rollback = serializers.UUIDField(allow_null=True, help_text="the rollback that made it live again")


class ArmOutput(LiveCandidateOutput):
    """An arm of a split."""

    name = serializers.CharField()
    version = serializers.CharField(source="candidate.version")
    model = serializers.CharField(source="candidate.model", help_text="empty: the version's own")
    weight = serializers.IntegerField(help_text="of 10,000 of those who take part")


class SplitOutput(serializers.Serializer[Any]):
    """How the traffic is split."""

    experiment = serializers.CharField()
    unit = serializers.ChoiceField(choices=["user", "session"])
    share = serializers.IntegerField(help_text="of 10,000 users or sessions")
    arms = ArmOutput(many=True)


@extend_schema_serializer(component_name="EnvironmentDeployment")
class LineOutput(serializers.Serializer[LiveLine]):
    """A version that is, or was, live in an environment."""

    id = serializers.UUIDField()
    prompt = serializers.CharField()
    environment = serializers.CharField()
    version = serializers.CharField(source="candidate.version")
    model = serializers.CharField(source="candidate.model", help_text="empty: the version's own")
    content_hash = serializers.CharField()
    before = LiveCandidateOutput(allow_null=True, help_text="what was live until then; null for nothing")
    kind = serializers.ChoiceField(choices=[*KINDS, EventKind.DRILL])
    is_live = serializers.SerializerMethodField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True, help_text="null while it is live")
    by = serializers.CharField()
    by_kind = serializers.CharField(help_text="user, key or system")
    reason = serializers.CharField()
    evidence = EvidenceOutput()
    split = SplitOutput(allow_null=True, help_text="the split that is open there now")

    def get_is_live(self, line: LiveLine) -> bool:
        """True for what the environment answers now."""
        return line.until is None


class LinesOutput(serializers.Serializer[Any]):
    """A page of them, newest first."""

    items = LineOutput(many=True)
    next = serializers.UUIDField(allow_null=True)


class ChangesQuery(serializers.Serializer[Any]):
    """Before which moment, and what it is about."""

    at = serializers.DateTimeField(required=False, default=None, help_text="the moment; now unless it is given")
    hours = serializers.IntegerField(required=False, default=24, min_value=1, max_value=720, help_text="how far back")
    prompt = serializers.CharField(required=False, default="", help_text="about this prompt alone")
    environment = serializers.CharField(required=False, default="", help_text="about this environment alone")
    feature = serializers.CharField(required=False, default="", help_text="about prompts of this feature alone")


class ChangeBeforeOutput(serializers.Serializer[Change]):
    """One thing that changed."""

    at = serializers.DateTimeField()
    seconds_before = serializers.SerializerMethodField()
    kind = serializers.CharField(help_text="deploy, rollback, ramped, …; the action of the audit trail; first_call")
    sentence = serializers.CharField()
    details = serializers.CharField()
    by = serializers.CharField()
    deployment = LineOutput(source="event.line", allow_null=True, default=None)

    def get_seconds_before(self, change: Change) -> float:
        """How long before the moment."""
        return change.ahead.total_seconds()


class ChangesBeforeOutput(serializers.Serializer[Any]):
    """What changed before the moment, nearest first."""

    at = serializers.DateTimeField()
    since = serializers.DateTimeField()
    items = ChangeBeforeOutput(many=True)
    is_cut = serializers.BooleanField(help_text="there was more than is listed")
