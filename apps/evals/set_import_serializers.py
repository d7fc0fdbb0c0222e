"""Shapes of imports, exports and the health of eval sets in the API."""

from __future__ import annotations

import json
from typing import Any

from rest_framework import serializers

from apps.evals.health import Standing
from apps.evals.importing.texts import ENCODINGS
from apps.evals.importing.writing import MEDIA_TYPES
from apps.evals.types import ReviewState


class ImportQuery(serializers.Serializer[Any]):
    """How the body is to be read, and what to make of it."""

    mapping = serializers.CharField(
        required=False,
        default="",
        max_length=50_000,
        help_text='what each column becomes: {"question": "variable", "answer": "expected"}; guessed if left out',
    )
    state = serializers.ChoiceField(
        required=False, default="draft", choices=[ReviewState.DRAFT.value, ReviewState.APPROVED.value]
    )
    mode = serializers.ChoiceField(
        required=False,
        default="update",
        choices=["update", "replace"],
        help_text="replace: examples that the file does not have are removed",
    )
    encoding = serializers.ChoiceField(required=False, default="", choices=["", *ENCODINGS], allow_blank=True)
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="say what would be done, and do nothing"
    )

    def validate_mapping(self, text: str) -> dict[str, Any] | None:
        """The mapping as an object; None when it is to be guessed."""
        if not text:
            return None
        try:
            told = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise serializers.ValidationError("This is not JSON.") from error
        if not isinstance(told, dict):
            raise serializers.ValidationError("Send a JSON object of columns and what they become.")
        return told


class RejectedRowOutput(serializers.Serializer[Any]):
    """A row that was not taken, and why."""

    row = serializers.IntegerField(help_text="counted from 1; a head row is not counted")
    column = serializers.CharField(help_text="empty when the row as a whole is meant")
    code = serializers.CharField()
    message = serializers.CharField()


class ImportedSetOutput(serializers.Serializer[Any]):
    """What an import did, or with `dry_run` would do."""

    rows = serializers.IntegerField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    removed = serializers.IntegerField()
    rejected_rows = serializers.IntegerField(help_text="how many rows were not taken")
    rejected = RejectedRowOutput(many=True, help_text="the first 100 of them")
    revision = serializers.IntegerField(allow_null=True, help_text="null when the set stays as it is")
    mapping = serializers.DictField(child=serializers.CharField(), help_text="what each column became")
    format = serializers.CharField()
    encoding = serializers.CharField()


class ExportQuery(serializers.Serializer[Any]):
    """Which revision, and as what."""

    format = serializers.ChoiceField(required=False, default="jsonl", choices=sorted(MEDIA_TYPES))
    revision = serializers.IntegerField(required=False, default=None, min_value=1, help_text="the newest if left out")


class HealthLineOutput(serializers.Serializer[Any]):
    """One thing to look at."""

    name = serializers.CharField()
    standing = serializers.ChoiceField(choices=[one.value for one in Standing])
    number = serializers.CharField(help_text="empty when it is not known")
    target = serializers.CharField()
    sentence = serializers.CharField()
    action = serializers.CharField(help_text="a word for what would help; empty when nothing is to be done")


class SetHealthOutput(serializers.Serializer[Any]):
    """The health of a set."""

    standing = serializers.ChoiceField(choices=[one.value for one in Standing], help_text="the worst of the lines")
    is_current = serializers.BooleanField()
    computed_at = serializers.DateTimeField(allow_null=True)
    revision = serializers.IntegerField(allow_null=True, help_text="the revision that the figures are of")
    lines = HealthLineOutput(many=True)
    text_coverage = serializers.FloatField(
        allow_null=True, help_text="share of recent production calls that have an example like them"
    )
    version_coverage = serializers.FloatField(
        allow_null=True, help_text="share of recent production calls whose prompt version was run on the set"
    )
    figures = serializers.JSONField(allow_null=True)
