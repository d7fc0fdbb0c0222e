"""Shapes of what is live in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.prompts.models import Deployment


class DeploymentsQuery(serializers.Serializer[Any]):
    """Which deployments."""

    environment = serializers.CharField(required=False, default="", help_text="of this environment alone")
    cursor = serializers.UUIDField(required=False, default=None)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class DeploymentInput(StrictSerializer):
    """What to make live, and where."""

    environment = serializers.CharField(max_length=64)
    version = serializers.CharField(help_text="such as 1.2.0")
    model = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=300, help_text="in place of the version's own"
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class WithdrawalQuery(serializers.Serializer[Any]):
    """Where nothing is to be live any more, and why."""

    environment = serializers.CharField(max_length=64)
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=2000)


class DeploymentOutput(serializers.Serializer[Deployment]):
    """A version that is, or was, live in an environment."""

    id = serializers.UUIDField(source="uuid")
    environment = serializers.CharField(source="environment.slug")
    version = serializers.SerializerMethodField()
    model = serializers.CharField(help_text="answers instead of the version's own; empty: the version's own")
    content_hash = serializers.CharField(source="version.content_hash")
    is_live = serializers.SerializerMethodField()
    since = serializers.DateTimeField(source="started_at")
    until = serializers.DateTimeField(source="ended_at", allow_null=True, help_text="null while it is live")
    by = serializers.CharField(source="actor_name")
    by_kind = serializers.CharField(source="actor_kind", help_text="user, key or system")
    reason = serializers.CharField()
    evidence_kind = serializers.CharField(help_text="promotion or return; empty where none was needed")
    evidence_id = serializers.UUIDField(allow_null=True, help_text="the promotion, or the deployment it returns to")

    def get_version(self, deployment: Deployment) -> str:
        """The number."""
        return str(deployment.version.number)

    def get_is_live(self, deployment: Deployment) -> bool:
        """True for what the environment answers now."""
        return deployment.ended_at is None


class DeploymentsOutput(serializers.Serializer[Any]):
    """A page of them, newest first."""

    items = DeploymentOutput(many=True)
    next = serializers.UUIDField(allow_null=True)
