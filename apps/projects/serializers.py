"""Shape of API input and output."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core import clock
from apps.core.rest import StrictSerializer
from apps.projects import audit, selectors
from apps.projects.models import ApiKey, AuditEntry, Scope


class KeyInput(StrictSerializer):
    """A new key."""

    name = serializers.CharField(max_length=120)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), allow_empty=False, default=[Scope.INGEST.value]
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="null: until it is revoked; left out: in 180 days"
    )


class KeyOutput(serializers.Serializer[Any]):
    """A key without its text."""

    id = serializers.UUIDField(source="uuid")
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices))
    state = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    created_by = serializers.EmailField(source="created_by.email", default=None, allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)

    def get_state(self, key: ApiKey) -> str:
        """works, ending (replaced, within its overlap), expired or revoked."""
        return selectors.key_state(key, now=clock.now()).value


class NewKeyOutput(KeyOutput):
    """A key that was just made, with its text: the only time it is shown."""

    key = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """The key's fields and its text."""
        fields = KeyOutput(instance.key).data
        return {**fields, "key": instance.raw}


class KeyPage(serializers.Serializer[Any]):
    """All keys of the project."""

    items = KeyOutput(many=True)
    next = serializers.CharField(allow_null=True)


class AuditQuery(serializers.Serializer[Any]):
    """Which part of the audit trail."""

    action = serializers.CharField(required=False, default="", max_length=64, help_text="how the action's name begins")
    actor = serializers.CharField(required=False, default="", max_length=254, help_text="a part of the actor's name")
    cursor = serializers.IntegerField(required=False, default=None, allow_null=True, min_value=1, max_value=2**62)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class AuditOutput(serializers.Serializer[Any]):
    """One entry, with everything its hash is computed from."""

    project_id = serializers.IntegerField(allow_null=True)
    number = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor_kind = serializers.CharField()
    actor_id = serializers.IntegerField(allow_null=True)
    actor_name = serializers.CharField()
    action = serializers.CharField()
    target_kind = serializers.CharField()
    target_id = serializers.CharField()
    target_name = serializers.CharField()
    details = serializers.DictField()
    previous_hash = serializers.CharField()
    hash = serializers.CharField()

    def to_representation(self, instance: AuditEntry) -> dict[str, Any]:
        """The canonical fields as they are hashed, and the hash."""
        return {**audit.fields_of(instance), "hash": bytes(instance.entry_hash).hex()}


class AuditPageOutput(serializers.Serializer[Any]):
    """A stretch of the audit trail, newest first."""

    items = AuditOutput(many=True)
    next = serializers.CharField(allow_null=True)
