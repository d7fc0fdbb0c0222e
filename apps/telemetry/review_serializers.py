"""Shapes of the review queue's endpoints."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.telemetry.models import ReviewItem, TraceNote
from apps.telemetry.selectors import review as selectors

STATUSES = [selectors.WAITING, *ReviewItem.Status.values, "all"]


class QueueQuery(serializers.Serializer[Any]):
    """Which items."""

    status = serializers.ChoiceField(required=False, default=selectors.WAITING, choices=STATUSES)
    reason = serializers.CharField(required=False, max_length=200)
    feature = serializers.CharField(required=False, max_length=128)
    cursor = serializers.CharField(required=False, max_length=120, help_text="`next` of the page before")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class FlagInput(StrictSerializer):
    """A trace, or one span of it, that somebody should look at."""

    trace_id = serializers.RegexField(r"^[0-9a-fA-F]{32}$", help_text="32 hexadecimal digits")
    span_id = serializers.RegexField(
        r"^[0-9a-fA-F]{16}$", required=False, allow_null=True, help_text="the whole trace when left out"
    )
    reason = serializers.CharField(max_length=200, help_text="why; items can be narrowed to one reason")
    at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="the start of any of the trace's spans, which makes finding it quick"
    )


class DecideInput(StrictSerializer):
    """What a reviewer found."""

    verdict = serializers.ChoiceField(choices=ReviewItem.Verdict.values)
    failure_label = serializers.CharField(required=False, allow_blank=True, max_length=80, default="")
    correction = serializers.CharField(
        required=False, allow_blank=True, max_length=20_000, default="", help_text="what the answer should have been"
    )


class NoteInput(StrictSerializer):
    """A note on a trace or one of its spans."""

    text = serializers.CharField(max_length=20_000)
    span_id = serializers.RegexField(r"^[0-9a-fA-F]{16}$", required=False, allow_null=True)


class ReviewItemOutput(serializers.Serializer[Any]):
    """One item of the queue, without its texts."""

    id = serializers.UUIDField(source="uuid")
    trace_id = serializers.CharField(source="trace_hex")
    span_id = serializers.SerializerMethodField(help_text="null for a whole trace")
    started_at = serializers.DateTimeField(allow_null=True, help_text="null while no span of the trace has arrived")
    status = serializers.CharField(help_text="open, in_review, done or dismissed")
    vars()["source"] = serializers.CharField(help_text="person, api or rule: who flagged it")
    reason = serializers.CharField()
    flagged_by = serializers.CharField()
    flagged_at = serializers.DateTimeField()
    name = serializers.SerializerMethodField()
    kind = serializers.SerializerMethodField()
    feature = serializers.SerializerMethodField()
    environment = serializers.SerializerMethodField()
    model = serializers.SerializerMethodField()
    prompt_version = serializers.SerializerMethodField()
    user_id = serializers.SerializerMethodField()
    session_id = serializers.SerializerMethodField()
    assignee = serializers.SerializerMethodField()
    claimed_at = serializers.DateTimeField(allow_null=True)
    verdict = serializers.SerializerMethodField(help_text="good, bad or unsure; null until it is decided")
    failure_label = serializers.SerializerMethodField()
    reviewer = serializers.SerializerMethodField()
    decided_at = serializers.DateTimeField(allow_null=True)

    def get_span_id(self, item: ReviewItem) -> str | None:
        """The span, if it is about one."""
        return item.span_hex or None

    def get_name(self, item: ReviewItem) -> str | None:
        """The span's name."""
        return item.name or None

    def get_kind(self, item: ReviewItem) -> str | None:
        """The span's kind."""
        return item.kind or None

    def get_feature(self, item: ReviewItem) -> str | None:
        """The feature."""
        return item.feature or None

    def get_environment(self, item: ReviewItem) -> str | None:
        """The environment."""
        return item.environment or None

    def get_model(self, item: ReviewItem) -> str | None:
        """The model."""
        return item.model or None

    def get_prompt_version(self, item: ReviewItem) -> str | None:
        """The prompt as `name@version`."""
        return item.prompt_version or None

    def get_user_id(self, item: ReviewItem) -> str | None:
        """The user of the feature."""
        return item.user_id or None

    def get_session_id(self, item: ReviewItem) -> str | None:
        """The session."""
        return item.session_id or None

    def get_assignee(self, item: ReviewItem) -> str | None:
        """Who is at it."""
        return str(item.assignee) if item.assignee else None

    def get_verdict(self, item: ReviewItem) -> str | None:
        """The verdict."""
        return item.verdict or None

    def get_failure_label(self, item: ReviewItem) -> str | None:
        """What went wrong."""
        return item.failure_label or None

    def get_reviewer(self, item: ReviewItem) -> str | None:
        """Who decided or dismissed it."""
        return item.reviewer_name or None


class WholeReviewItemOutput(ReviewItemOutput):
    """One item with what was asked and answered, as it was copied when it was flagged."""

    correction = serializers.SerializerMethodField()
    input = serializers.SerializerMethodField(help_text="text or JSON, as the client sent it")
    output = serializers.SerializerMethodField(help_text="text or JSON, as the client sent it")

    def get_correction(self, item: ReviewItem) -> str | None:
        """What the answer should have been."""
        return item.correction or None

    def get_input(self, item: ReviewItem) -> Any:
        """What was asked."""
        return selectors.content(item.input, item.input_is_json)

    def get_output(self, item: ReviewItem) -> Any:
        """What was answered."""
        return selectors.content(item.output, item.output_is_json)


class ReviewPageOutput(serializers.Serializer[Any]):
    """A page of items: what waits longest first, what is done newest first."""

    items = ReviewItemOutput(many=True)
    next = serializers.CharField(allow_null=True)


class NoteOutput(serializers.Serializer[Any]):
    """A note."""

    id = serializers.UUIDField(source="uuid")
    span_id = serializers.SerializerMethodField(help_text="null when it is about the whole trace")
    text = serializers.CharField()
    author = serializers.CharField(source="author_name")
    at = serializers.DateTimeField()

    def get_span_id(self, note: TraceNote) -> str | None:
        """The span, if it is about one."""
        return note.span_hex or None


class NotesOutput(serializers.Serializer[Any]):
    """The notes on a trace, in the order they were written."""

    items = NoteOutput(many=True)
    next = serializers.CharField(allow_null=True, help_text="always null: the answer is whole")
