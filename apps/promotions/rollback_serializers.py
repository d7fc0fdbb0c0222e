"""Shapes of rollbacks and drills in the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.promotions import rollback_words as words
from apps.promotions.models import Drill, Rollback
from apps.promotions.selectors.rollbacks import watched
from apps.prompts.deployment_serializers import DeploymentOutput
from apps.prompts.models import Deployment


class RollbackInput(StrictSerializer):
    """Where to go back, and to what."""

    environment = serializers.CharField(max_length=64)
    to = serializers.CharField(
        required=False,
        allow_null=True,
        default=None,
        max_length=64,
        help_text="a version that was live there, or the id of its deployment; null for the last healthy one",
    )
    away_from = serializers.CharField(
        required=False,
        allow_null=True,
        default=None,
        max_length=64,
        help_text="the version that you think is live: when another one is, nothing is changed (409 moved_on)",
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class RollbacksQuery(serializers.Serializer[Any]):
    """Which rollbacks."""

    prompt = serializers.CharField(required=False, default="", max_length=200, help_text="of this prompt alone")
    environment = serializers.CharField(required=False, default="", max_length=64)
    cursor = serializers.UUIDField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class CandidateOutput(serializers.Serializer[Deployment]):
    """A version, on a model, and the deployment that made it live."""

    deployment = serializers.UUIDField(source="uuid")
    version = serializers.SerializerMethodField()
    model = serializers.CharField(help_text="empty: the version's own")

    def get_version(self, deployment: Deployment) -> str:
        """The number."""
        return str(deployment.version.number)


class ProcessOutput(serializers.Serializer[Any]):
    """A process that served the project at the click."""

    process = serializers.CharField(help_text="host and process id")
    at = serializers.DateTimeField(allow_null=True, help_text="when it had it; null while it has not said so")
    is_lost = serializers.BooleanField(help_text="it was not heard of again")


class RollbackOutput(serializers.Serializer[Rollback]):
    """A rollback and its stopwatch. Seconds count from the click."""

    id = serializers.UUIDField(source="uuid")
    prompt = serializers.CharField(source="prompt.name")
    environment = serializers.CharField(source="environment.slug")
    bad = CandidateOutput(allow_null=True, help_text="what was live at the click; null when nothing was")
    restored = CandidateOutput()
    is_automatic = serializers.BooleanField(help_text="a watch did it")
    is_drill = serializers.BooleanField()
    reason = serializers.CharField()
    by = serializers.CharField(source="actor_name")
    by_kind = serializers.CharField(source="actor_kind", help_text="user, key or system")
    asked_at = serializers.DateTimeField(help_text="the click")
    committed_at = serializers.DateTimeField(allow_null=True, help_text="when it was in the database")
    state = serializers.ChoiceField(["measuring", "measured"], help_text="the stopwatch runs for 15 minutes")
    processes = ProcessOutput(many=True)
    everywhere_at = serializers.DateTimeField(allow_null=True, help_text="when the last of the processes had it")
    everywhere_after_seconds = serializers.SerializerMethodField()
    first_call_at = serializers.DateTimeField(allow_null=True, help_text="the first call seen with what was restored")
    last_bad_call_at = serializers.DateTimeField(allow_null=True, help_text="the last call seen with what was bad")
    bad_calls_after = serializers.IntegerField(help_text="calls with what was bad that began after the click")
    measured_at = serializers.DateTimeField(allow_null=True)
    sentence = serializers.SerializerMethodField()

    @extend_schema_field(OpenApiTypes.FLOAT)
    def get_everywhere_after_seconds(self, rollback: Rollback) -> float | None:
        """Seconds from the click; null while it is not known."""
        return watched(rollback).after(rollback.everywhere_at)

    def get_sentence(self, rollback: Rollback) -> str:
        """How far it has got, in words."""
        return words.sentence(watched(rollback))


class RollbackDoneOutput(DeploymentOutput):
    """The deployment that is live now, and the rollback that made it so."""

    rollback = RollbackOutput()


class RollbacksOutput(serializers.Serializer[Any]):
    """A page of them, newest first."""

    items = RollbackOutput(many=True)
    next = serializers.UUIDField(allow_null=True)


class DrillInput(StrictSerializer):
    """Which rollback to rehearse."""

    prompt = serializers.CharField(max_length=200)
    environment = serializers.CharField(max_length=64, default="staging", help_text="one that is not protected")


class DrillsQuery(serializers.Serializer[Any]):
    """Which drills."""

    prompt = serializers.CharField(required=False, default="", max_length=200, help_text="of this prompt alone")
    cursor = serializers.UUIDField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class DrillOutput(serializers.Serializer[Drill]):
    """A rehearsed rollback: evidence, once it is over."""

    id = serializers.UUIDField(source="uuid")
    prompt = serializers.CharField(source="prompt.name")
    environment = serializers.CharField(source="environment.slug")
    state = serializers.ChoiceField(["running", "passed", "failed"])
    seconds = serializers.FloatField(allow_null=True, help_text="from the click until every process had it")
    target_seconds = serializers.IntegerField(help_text="a drill that takes longer has failed")
    sentence = serializers.CharField(help_text="how it went; empty while it runs")
    kept = CandidateOutput(help_text="what was live before, and is again after it")
    rollback = RollbackOutput(allow_null=True)
    by = serializers.CharField(source="actor_name")
    by_kind = serializers.CharField(source="actor_kind")
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class DrillsOutput(serializers.Serializer[Any]):
    """A page of them, newest first."""

    items = DrillOutput(many=True)
    next = serializers.UUIDField(allow_null=True)
