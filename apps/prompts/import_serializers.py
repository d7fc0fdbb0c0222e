"""Shape of imports and exports over the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.prompts import semver
from apps.prompts.files import detect
from apps.prompts.files.plan import Action, Step
from apps.prompts.selectors.imports import PAGE_SIZE
from apps.prompts.services.imports import Mode, Outcome, Status

ACTIONS = [(one.value, one.value) for one in Action]
STATUSES = [(one.value, one.value) for one in Status]


class FileInput(StrictSerializer):
    """One file. Its path says the format and, where the file has none, the name."""

    path = serializers.CharField(max_length=300, trim_whitespace=False)
    text = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=detect.MAX_EXPORT)
    base = serializers.CharField(
        required=False,
        allow_null=True,
        default=None,
        help_text="the version that the file was made from; refused with `moved_on` when a newer one is here",
    )

    def validate_base(self, value: str | None) -> semver.Number | None:
        """The number that is named."""
        number = semver.parse(value) if value else None
        if value and number is None:
            raise serializers.ValidationError("Name a version as three numbers, such as 1.4.0.")
        return number


class ImportInput(StrictSerializer):
    """Files to import, ours or of another format."""

    files = FileInput(many=True, allow_empty=False)
    dry_run = serializers.BooleanField(required=False, default=False, help_text="only say what would be made")
    mode = serializers.ChoiceField(
        choices=[(one.value, one.value) for one in Mode], required=False, default=Mode.VERSIONS.value
    )
    note = serializers.CharField(required=False, default="", allow_blank=True, max_length=2_000)

    def validate_files(self, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each path once, and not too much in all."""
        if len(value) > detect.MAX_FILES:
            raise serializers.ValidationError(f"At most {detect.MAX_FILES} files at once.")
        paths = [one["path"] for one in value]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        if twice:
            raise serializers.ValidationError(f"These paths stand twice: {', '.join(twice)}.")
        if sum(len(one["text"]) for one in value) > detect.MAX_TOTAL:
            raise serializers.ValidationError(f"At most {detect.MAX_TOTAL // 1024 // 1024} MiB in all.")
        return value


class ImportedOutput(serializers.Serializer[Any]):
    """What becomes of one prompt, or of one version of it. `status` is null in a dry run."""

    name = serializers.CharField()
    format = serializers.CharField(help_text="the format it was read from")
    paths = serializers.ListField(child=serializers.CharField())
    action = serializers.ChoiceField(choices=ACTIONS)
    status = serializers.ChoiceField(choices=STATUSES, allow_null=True)
    version = serializers.CharField(allow_null=True)
    bump = serializers.CharField(allow_null=True)
    bump_reasons = serializers.ListField(child=serializers.CharField())
    sentence = serializers.CharField()
    code = serializers.CharField(allow_null=True, help_text="why it was refused or skipped, for programs")
    problems = serializers.ListField(
        child=serializers.CharField(), help_text="why it could be a draft, but not a version"
    )
    notes = serializers.ListField(child=serializers.CharField(), help_text="what could not be carried over")
    text = serializers.CharField(
        allow_null=True, help_text="the file as it would be exported now; for files in our own format"
    )

    def to_representation(self, instance: Step | Outcome) -> dict[str, Any]:
        """The step, and after it was done what became of it."""
        outcome = instance if isinstance(instance, Outcome) else None
        step = instance.step if isinstance(instance, Outcome) else instance
        number = outcome.version if outcome is not None else str(step.number or "")
        return {
            "name": step.name,
            "format": step.found.format,
            "paths": list(step.found.paths),
            "action": step.action.value,
            "status": None if outcome is None else outcome.status.value,
            "version": number or None,
            "bump": None if step.bump is None else step.bump.value,
            "bump_reasons": list(step.reasons),
            "sentence": step.sentence if outcome is None else outcome.sentence,
            "code": (step.code if outcome is None else outcome.code) or None,
            "problems": list(step.problems),
            "notes": [str(note) for note in step.found.notes],
            "text": None if outcome is None else outcome.text or None,
        }


class RefusedOutput(serializers.Serializer[Any]):
    """A file that could not be read."""

    path = serializers.CharField()
    sentence = serializers.CharField()
    line = serializers.IntegerField(allow_null=True)
    column = serializers.IntegerField(allow_null=True)


class ImportOutput(serializers.Serializer[Any]):
    """What becomes of the files."""

    items = ImportedOutput(many=True)
    refused = RefusedOutput(many=True)


class ExportQuery(serializers.Serializer[Any]):
    """Which prompts."""

    name = serializers.CharField(required=False, default="", help_text="only this prompt")
    folder = serializers.CharField(required=False, default="", help_text="only what is below this folder")
    cursor = serializers.CharField(required=False, default="")
    limit = serializers.IntegerField(required=False, default=PAGE_SIZE, min_value=1, max_value=200)


class ExportedFileOutput(serializers.Serializer[Any]):
    """A prompt's newest version as a file in our own format."""

    path = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField()
    content_hash = serializers.CharField()
    text = serializers.CharField()


class ExportOutput(serializers.Serializer[Any]):
    """Files in the order of the prompts' names."""

    items = ExportedFileOutput(many=True)
    next = serializers.CharField(allow_null=True)
