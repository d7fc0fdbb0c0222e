"""Shapes of prompts and versions in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.prompts import semver
from apps.prompts.models import Version
from apps.prompts.selectors.prompts import PAGE_SIZE
from apps.prompts.services import Plan
from apps.prompts.types import Bump, Kind, Origin, Syntax, VariableType


class MessageShape(serializers.Serializer[Any]):
    """One message; with the role `placeholder`, `content` names a variable of type messages."""

    role = serializers.CharField(help_text="system, developer, user, assistant, tool or placeholder")
    content = serializers.CharField()
    name = serializers.CharField(required=False)


class VariableShape(serializers.Serializer[Any]):
    """A value that the caller gives."""

    name = serializers.CharField()
    type = serializers.ChoiceField(choices=[(one.value, one.value) for one in VariableType], default="text")
    required = serializers.BooleanField(default=True)  # type: ignore[assignment]
    default = serializers.JSONField(required=False, allow_null=True)
    description = serializers.CharField(required=False)
    sample = serializers.JSONField(required=False, allow_null=True)


class ContentShape(serializers.Serializer[Any]):
    """What is versioned. In a text prompt, `text` may stand in place of `messages`."""

    kind = serializers.ChoiceField(choices=[(one.value, one.value) for one in Kind], required=False)
    syntax = serializers.ChoiceField(choices=[(one.value, one.value) for one in Syntax], required=False)
    messages = MessageShape(many=True, required=False)
    text = serializers.CharField(required=False)
    variables = VariableShape(many=True, required=False)
    model = serializers.CharField(required=False)
    parameters = serializers.DictField(required=False)
    tools = serializers.ListField(child=serializers.DictField(), required=False)
    response_schema = serializers.DictField(required=False, allow_null=True)
    extra = serializers.DictField(required=False, help_text="keys of a prompt file that mean nothing here, kept")


class ContentField(serializers.JSONField):
    """Any JSON object. What is in it is read by `content.content_from_dict`, which names each field that is wrong."""

    def to_internal_value(self, data: Any) -> Any:
        """The object as it came."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("This must be an object.")
        return data


class PromptsQuery(serializers.Serializer[Any]):
    """Which prompts."""

    q = serializers.CharField(required=False, default="", help_text="words of the name or the description")
    folder = serializers.CharField(required=False, default="")
    tag = serializers.CharField(required=False, default="")
    archived = serializers.BooleanField(required=False, default=False, help_text="archived ones as well")
    cursor = serializers.CharField(required=False, default="")
    limit = serializers.IntegerField(required=False, default=PAGE_SIZE, min_value=1, max_value=200)


class PromptInput(StrictSerializer):
    """A new prompt. With a content, its first version is published."""

    name = serializers.CharField(max_length=200, trim_whitespace=False)
    description = serializers.CharField(required=False, default="", allow_blank=True)
    owner = serializers.EmailField(required=False, allow_null=True, default=None, help_text="a member of the project")
    tags = serializers.ListField(child=serializers.CharField(), required=False, default=list)
    content = ContentField(required=False)
    note = serializers.CharField(required=False, default="", allow_blank=True)


class PromptChange(StrictSerializer):
    """What to change; what is left out stays."""

    name = serializers.CharField(required=False, max_length=200, trim_whitespace=False)
    description = serializers.CharField(required=False, allow_blank=True)
    owner = serializers.EmailField(required=False, allow_null=True)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    feature = serializers.CharField(
        required=False, allow_blank=True, max_length=128, help_text="that it serves; changed by admins"
    )
    archived = serializers.BooleanField(required=False)


class VersionInput(StrictSerializer):
    """The next version."""

    content = ContentField()
    note = serializers.CharField(required=False, default="", allow_blank=True, help_text="what changed, and why")
    bump = serializers.ChoiceField(
        choices=[(one.value, one.value) for one in Bump],
        required=False,
        allow_null=True,
        default=None,
        help_text="left out: the step that the change needs",
    )
    version = serializers.CharField(required=False, allow_null=True, default=None, help_text="in place of a bump")
    lowered_because = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        help_text="why a change that breaks callers may be a smaller step; noted in the audit trail",
    )
    base = serializers.CharField(
        required=False,
        allow_null=True,
        default=None,
        help_text="the version that was changed; refused with 409 when a newer one was published since",
    )
    dry_run = serializers.BooleanField(required=False, default=False, help_text="only say what it would become")

    def validate_version(self, value: str | None) -> semver.Number | None:
        """The number that is named."""
        if value is None:
            return None
        number = semver.parse(value)
        if number is None:
            raise serializers.ValidationError("Name a version as three numbers, such as 1.4.0.")
        return number

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Either a step or a number."""
        if attrs["bump"] and attrs["version"]:
            raise serializers.ValidationError({"bump": ["Give a bump or a version, not both."]})
        return attrs


class LiveOutput(serializers.Serializer[Any]):
    """Where a version is live."""

    environment = serializers.CharField()
    version = serializers.CharField(source="number")
    since = serializers.DateTimeField()


class PromptOutput(serializers.Serializer[Any]):
    """A prompt as lists show it."""

    name = serializers.CharField()
    description = serializers.CharField(source="prompt.description")
    owner = serializers.EmailField(source="prompt.owner.email", default=None, allow_null=True)
    tags = serializers.ListField(child=serializers.CharField(), source="prompt.tags")
    feature = serializers.CharField(source="prompt.feature", help_text="that it serves; empty while nobody said")
    former_names = serializers.ListField(child=serializers.CharField(), source="prompt.former_names")
    latest = serializers.CharField(allow_null=True, help_text="the newest version")
    published_at = serializers.DateTimeField(allow_null=True)
    live = LiveOutput(many=True)
    created_at = serializers.DateTimeField(source="prompt.created_at")
    archived_at = serializers.DateTimeField(source="prompt.archived_at", allow_null=True)


class PromptsOutput(serializers.Serializer[Any]):
    """Prompts in the order of their names."""

    items = PromptOutput(many=True)
    next = serializers.CharField(allow_null=True)


class IncludeOutput(serializers.Serializer[Any]):
    """A snippet that a version includes."""

    name = serializers.CharField()
    version = serializers.CharField()


class VersionLine(serializers.Serializer[Any]):
    """A version as lists show it."""

    version = serializers.CharField(source="number")
    note = serializers.CharField()
    bump = serializers.ChoiceField(choices=[(one.value, one.value) for one in Bump])
    suggested_bump = serializers.ChoiceField(choices=[(one.value, one.value) for one in Bump])
    bump_reasons = serializers.ListField(child=serializers.CharField())
    content_hash = serializers.CharField()
    origin = serializers.ChoiceField(choices=[(one.value, one.value) for one in Origin])
    published_by = serializers.CharField(source="publisher_name")
    published_at = serializers.DateTimeField()
    commit_id = serializers.CharField(allow_blank=True)


class VersionOutput(VersionLine):
    """A version with what it says."""

    name = serializers.CharField(source="prompt.name")
    content = ContentShape()
    resolved = MessageShape(many=True, help_text="the messages with every snippet in its place")
    includes = IncludeOutput(many=True)

    def to_representation(self, instance: Version) -> dict[str, Any]:
        """The content is stored as it is shown."""
        told = {"name": instance.prompt.name, **VersionLine(instance).data}
        for part in ("content", "resolved", "includes"):
            told[part] = getattr(instance, part)
        return told


class VersionsOutput(serializers.Serializer[Any]):
    """Versions, newest first."""

    items = VersionLine(many=True)
    next = serializers.CharField(allow_null=True)


class VersionsQuery(serializers.Serializer[Any]):
    """Which versions."""

    cursor = serializers.CharField(required=False, default="")
    limit = serializers.IntegerField(required=False, default=PAGE_SIZE, min_value=1, max_value=200)


class PlanOutput(serializers.Serializer[Any]):
    """What publishing would make of a content."""

    version = serializers.CharField()
    suggested_bump = serializers.ChoiceField(choices=[(one.value, one.value) for one in Bump])
    bump_reasons = serializers.ListField(child=serializers.CharField())
    latest = serializers.CharField(allow_null=True)
    same_as = serializers.CharField(allow_null=True, help_text="the version that says exactly this already")

    def to_representation(self, instance: Plan) -> dict[str, Any]:
        """The plan in words."""
        return {
            "version": str(instance.number),
            "suggested_bump": instance.suggestion.bump.value,
            "bump_reasons": [reason.sentence for reason in instance.suggestion.reasons],
            "latest": None if instance.latest is None else str(instance.latest.number),
            "same_as": None if instance.same_as is None else str(instance.same_as.number),
        }


class WholePromptOutput(PromptOutput):
    """A prompt with its newest version."""

    version = VersionOutput(allow_null=True)
