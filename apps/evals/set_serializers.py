"""Shapes of eval sets, their examples and revisions in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.evals.examples import BODY_FIELDS, MAX_KEY, MAX_SLICE
from apps.evals.types import ExampleOrigin, ReviewState

STATES = [(state.value, state.value) for state in ReviewState]
ORIGINS = [(origin.value, origin.value) for origin in ExampleOrigin]
MOST_AT_ONCE = 1_000


class SchemaField(serializers.JSONField):
    """A JSON Schema, or null for none. Whether it can be used is looked at by `schemas.schema_problem`."""


class SetsQuery(serializers.Serializer[Any]):
    """Which sets."""

    q = serializers.CharField(required=False, default="", max_length=200, help_text="words of slug, name or feature")
    archived = serializers.BooleanField(required=False, default=False, help_text="archived ones as well")
    cursor = serializers.CharField(required=False, default="", max_length=100)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class SetInput(StrictSerializer):
    """A new eval set."""

    name = serializers.CharField(max_length=200)
    slug = serializers.CharField(required=False, default="", allow_blank=True, max_length=100)
    description = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    feature = serializers.CharField(required=False, allow_blank=True, max_length=128)
    input_schema = SchemaField(required=False, allow_null=True, help_text="what every example's variables must meet")
    expected_schema = SchemaField(required=False, allow_null=True, help_text="what every expected output must meet")
    minimum_examples = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)
    minimum_per_slice = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)
    fresh_days = serializers.IntegerField(required=False, min_value=1, max_value=3_650)


class SetPatch(SetInput):
    """What to change; what is left out stays, and a slug never changes."""

    name = serializers.CharField(required=False, max_length=200)
    slug = None  # type: ignore[assignment]
    archived = serializers.BooleanField(required=False)


class RevisionOutput(serializers.Serializer[Any]):
    """One change of a set. Two revisions with one `content_hash` hold the same examples."""

    number = serializers.IntegerField()
    made_at = serializers.DateTimeField()
    by = serializers.CharField(source="actor_name")
    by_kind = serializers.CharField(source="actor_kind", help_text="user, key or system")
    note = serializers.CharField()
    added = serializers.IntegerField()
    changed = serializers.IntegerField()
    removed = serializers.IntegerField()
    examples = serializers.IntegerField(help_text="in the set afterwards")
    approved = serializers.IntegerField(help_text="of them approved")
    content_hash = serializers.CharField()


class SetOutput(serializers.Serializer[Any]):
    """An eval set."""

    id = serializers.UUIDField(source="uuid")
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    feature = serializers.CharField()
    input_schema = serializers.JSONField(allow_null=True)
    expected_schema = serializers.JSONField(allow_null=True)
    minimum_examples = serializers.IntegerField()
    minimum_per_slice = serializers.IntegerField()
    fresh_days = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    changed_at = serializers.DateTimeField()
    archived_at = serializers.DateTimeField(allow_null=True)


class SetLineOutput(serializers.Serializer[Any]):
    """An eval set with its newest revision, null before the first, and the last run over it."""

    set = SetOutput(source="eval_set")
    examples = serializers.IntegerField()
    approved = serializers.IntegerField()
    revision = RevisionOutput(allow_null=True)
    last_run = serializers.IntegerField(source="run.number", default=None, allow_null=True)
    last_verdict = serializers.CharField(source="verdict", help_text="of the last run's gate; empty without one")


class SetsOutput(serializers.Serializer[Any]):
    """A page of sets in the order of their slugs."""

    items = SetLineOutput(many=True)
    next = serializers.CharField(allow_null=True)


class ExamplesQuery(serializers.Serializer[Any]):
    """Which examples."""

    state = serializers.ChoiceField(choices=STATES, required=False, default="")
    slice = serializers.CharField(required=False, default="", max_length=MAX_SLICE)
    origin = serializers.ChoiceField(choices=ORIGINS, required=False, default="")
    q = serializers.CharField(required=False, default="", max_length=200, help_text="words of key, input or expected")
    revision = serializers.IntegerField(
        required=False, default=None, min_value=1, max_value=2**31 - 1, help_text="left out: the newest"
    )
    cursor = serializers.CharField(required=False, default="", max_length=MAX_KEY, trim_whitespace=False)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class ExampleShape(serializers.Serializer[Any]):
    """One example. It has variables (of a prompt) or messages (in OpenAI's shape); all else may be left out."""

    key = serializers.CharField(required=False, help_text="its name in the set; made when left out")
    variables = serializers.DictField(required=False)
    messages = serializers.ListField(child=serializers.DictField(), required=False, allow_null=True)
    tools = serializers.ListField(child=serializers.DictField(), required=False, allow_null=True)
    expected = serializers.JSONField(required=False, allow_null=True, help_text="text, or any JSON")
    context = serializers.ListField(  # type: ignore[assignment]
        child=serializers.DictField(), required=False, help_text="[{id, content, title}]"
    )
    metadata = serializers.DictField(required=False)
    slices = serializers.ListField(child=serializers.CharField(), required=False)
    state = serializers.ChoiceField(choices=STATES, required=False, help_text="draft when left out")
    note = serializers.CharField(required=False, allow_blank=True)


class ExamplesInput(serializers.Serializer[Any]):
    """One example, or up to 1,000 as `examples`. With `replace`, one whose key is there takes the new content."""

    examples = ExampleShape(many=True)
    note = serializers.CharField(required=False, allow_blank=True, help_text="why; stands at the revision")
    replace = serializers.BooleanField(required=False, default=False)


class ExamplePatch(ExampleShape):
    """What to change of an example; what is left out stays. `base` is the `since` that was read: 409 when it moved."""

    key = None  # type: ignore[assignment]
    base = serializers.IntegerField(required=False, help_text="the `since` of the example that was read")


class ReviewInput(StrictSerializer):
    """Which examples get which state: those with the keys, or all that the filter finds."""

    state = serializers.ChoiceField(choices=STATES)
    keys = serializers.ListField(
        child=serializers.CharField(max_length=MAX_KEY, trim_whitespace=False), required=False, max_length=10_000
    )
    filter = serializers.DictField(required=False, help_text="any of state, slice, origin, q; {} finds all")
    note = serializers.CharField(required=False, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Either keys or a filter; the filter is given out as an ExamplesQuery reads it."""
        if ("keys" in attrs) == ("filter" in attrs):
            raise serializers.ValidationError({"keys": ["Give keys or a filter, not both and not neither."]})
        if "filter" in attrs:
            known = {"state", "slice", "origin", "q"}
            if unknown := sorted(set(attrs["filter"]) - known):
                raise serializers.ValidationError({"filter": [f"Unknown: {', '.join(unknown)[:200]}."]})
            asked = ExamplesQuery(data=attrs["filter"])
            asked.is_valid(raise_exception=True)
            attrs["filter"] = asked.validated_data
        return attrs


class ExampleOutput(serializers.Serializer[Any]):
    """An example as it has been since the revision `since`; `until` is null while it still is so."""

    id = serializers.UUIDField(source="uuid")
    key = serializers.CharField()
    variables = serializers.JSONField()
    messages = serializers.JSONField(allow_null=True)
    tools = serializers.JSONField(allow_null=True)
    expected = serializers.JSONField(allow_null=True)
    context = serializers.JSONField()  # type: ignore[assignment]
    metadata = serializers.JSONField()
    slices = serializers.ListField(child=serializers.CharField())
    state = serializers.ChoiceField(choices=STATES)
    origin = serializers.ChoiceField(choices=ORIGINS)
    trace_id = serializers.CharField()
    span_id = serializers.CharField()
    note = serializers.CharField()
    by = serializers.CharField(source="author_name", help_text="who made it as it is, or gave it its state")
    since = serializers.IntegerField()
    until = serializers.IntegerField(allow_null=True)
    made_at = serializers.DateTimeField()
    first_made_at = serializers.DateTimeField()
    content_hash = serializers.CharField()


class ExamplesOutput(serializers.Serializer[Any]):
    """A page of examples in the order of their keys, and the revision that was read."""

    items = ExampleOutput(many=True)
    next = serializers.CharField(allow_null=True)
    revision = serializers.IntegerField()


class WrittenOutput(serializers.Serializer[Any]):
    """The revision that holds the change, the newest one when nothing was different, and the keys in their order."""

    revision = RevisionOutput()
    keys = serializers.ListField(child=serializers.CharField())


class RevisionsQuery(serializers.Serializer[Any]):
    """Which revisions."""

    cursor = serializers.IntegerField(required=False, default=None, min_value=1)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class RevisionsOutput(serializers.Serializer[Any]):
    """A page of revisions, newest first."""

    items = RevisionOutput(many=True)
    next = serializers.IntegerField(allow_null=True)


class ChangesQuery(serializers.Serializer[Any]):
    """Which part of what a revision changed."""

    cursor = serializers.CharField(required=False, default="", max_length=MAX_KEY, trim_whitespace=False)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class KeyChangeOutput(serializers.Serializer[Any]):
    """What became of one example: `old` is null for an added one, `new` for a removed one."""

    key = serializers.CharField()
    what = serializers.ChoiceField(choices=[(one, one) for one in ("added", "changed", "removed")])
    old = ExampleOutput(allow_null=True)
    new = ExampleOutput(allow_null=True)


class ChangesOutput(serializers.Serializer[Any]):
    """A revision, and what it changed in the order of the keys."""

    revision = RevisionOutput()
    items = KeyChangeOutput(many=True)
    next = serializers.CharField(allow_null=True)


EXAMPLE_FIELDS = frozenset({*BODY_FIELDS, "key", "state", "note"})
