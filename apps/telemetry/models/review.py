"""Answers that people look at: the queue, the rules that fill it, and notes on traces."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.core import clock

WHOLE_TRACE = b""
"""The span id of what is said of a trace as a whole."""


class ReviewItem(models.Model):
    """A trace, or one span of it, that somebody should look at; and what they found.

    Input and output are a copy, made when it was flagged, so that the queue outlives the payloads. `started_at` is the
    start of the span (of the trace's first span for a whole trace), which names its partition; null while no span of
    the trace has arrived.
    """

    class Source(models.TextChoices):
        """Who asked for the review."""

        PERSON = "person", _("a person")
        API = "api", _("a service")
        RULE = "rule", _("a rule")

    class Status(models.TextChoices):
        """How far it is. Only open items can be taken, and only by one person."""

        OPEN = "open", _("open")
        IN_REVIEW = "in_review", _("in review")
        DONE = "done", _("done")
        DISMISSED = "dismissed", _("dismissed")

    class Verdict(models.TextChoices):
        """What the reviewer thinks of the output."""

        GOOD = "good", _("good")
        BAD = "bad", _("bad")
        UNSURE = "unsure", _("unsure")

    WAITING: ClassVar[tuple[str, ...]] = (Status.OPEN.value, Status.IN_REVIEW.value)

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project_id = models.BigIntegerField()
    trace_id = models.BinaryField()
    span_id = models.BinaryField(default=WHOLE_TRACE)
    started_at = models.DateTimeField(null=True)

    source = models.TextField(choices=Source.choices)
    reason = models.TextField()
    flagged_by = models.TextField()
    flagged_at = models.DateTimeField(default=clock.now)
    rule = models.ForeignKey("ReviewRule", null=True, on_delete=models.SET_NULL, related_name="+")

    name = models.TextField(default="")
    kind = models.TextField(default="")
    feature = models.TextField(default="")
    environment = models.TextField(default="")
    model = models.TextField(default="")
    prompt_version = models.TextField(default="")
    user_id = models.TextField(default="")
    session_id = models.TextField(default="")
    input = models.TextField(null=True)
    output = models.TextField(null=True)
    input_is_json = models.BooleanField(default=False)
    output_is_json = models.BooleanField(default=False)

    status = models.TextField(choices=Status.choices, default=Status.OPEN)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    claimed_at = models.DateTimeField(null=True)

    verdict = models.TextField(choices=Verdict.choices, default="", blank=True)
    failure_label = models.TextField(default="")
    correction = models.TextField(default="")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reviewer_name = models.TextField(default="")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["project_id", "trace_id", "span_id"],
                condition=Q(status__in=("open", "in_review")),
                name="telemetry_review_waits_once",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("open", "in_review", "done", "dismissed")), name="telemetry_review_status_known"
            ),
            models.CheckConstraint(
                condition=~Q(status="done") | Q(verdict__in=("good", "bad", "unsure")),
                name="telemetry_review_done_has_verdict",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["project_id", "flagged_at", "id"],
                condition=Q(status__in=("open", "in_review")),
                name="telemetry_review_waiting",
            ),
            models.Index(fields=["project_id", "decided_at"], name="telemetry_review_decided"),
            models.Index(fields=["project_id", "trace_id"], name="telemetry_review_trace"),
            models.Index(fields=["project_id", "user_id"], name="telemetry_review_user"),
        ]

    def __str__(self) -> str:
        return f"review of {bytes(self.trace_id).hex()[:8]}"

    @property
    def trace_hex(self) -> str:
        """The trace's id as it is shown."""
        return bytes(self.trace_id).hex()

    @property
    def span_hex(self) -> str:
        """The span's id as it is shown; empty for a whole trace."""
        return bytes(self.span_id).hex()

    @property
    def is_waiting(self) -> bool:
        """True until somebody decided."""
        return self.status in self.WAITING


class TraceNote(models.Model):
    """What somebody wrote beside a trace or one of its spans."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project_id = models.BigIntegerField()
    trace_id = models.BinaryField()
    span_id = models.BinaryField(default=WHOLE_TRACE)
    at = models.DateTimeField(default=clock.now)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.TextField()
    text = models.TextField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "trace_id", "at"], name="telemetry_note_trace")
        ]

    def __str__(self) -> str:
        return f"note on {bytes(self.trace_id).hex()[:8]}"

    @property
    def span_hex(self) -> str:
        """The span's id as it is shown; empty for a whole trace."""
        return bytes(self.span_id).hex()


class ReviewRule(models.Model):
    """What is queued by itself: low scores, failed calls, or a part of all traffic.

    `percent` is the part of the matching traces that is queued, chosen by their ids, so that the choice is the same
    whenever it is made. `most_a_day` keeps a rule from flooding the queue.
    """

    class Kind(models.TextChoices):
        """What a rule looks at."""

        SCORE_BELOW = "score_below", _("a score below a number")
        SCORE_LABEL = "score_label", _("a score with a label")
        ERROR = "error", _("a failed call")
        SAMPLE = "sample", _("any trace")

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project_id = models.BigIntegerField()
    name = models.TextField()
    kind = models.TextField(choices=Kind.choices)
    score_name = models.TextField(default="")
    below = models.FloatField(null=True)
    label = models.TextField(default="")
    feature = models.TextField(default="")
    environment = models.TextField(default="")
    percent = models.DecimalField(max_digits=5, decimal_places=2, default=100)
    most_a_day = models.PositiveIntegerField(default=50)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint("project_id", "name", name="telemetry_review_rule_once"),
            models.CheckConstraint(
                condition=Q(percent__gt=0, percent__lte=100), name="telemetry_review_percent_in_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ReviewLabel(models.Model):
    """A kind of failure that a project tells apart, such as "made up facts"."""

    project_id = models.BigIntegerField()
    name = models.TextField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint("project_id", "name", name="telemetry_review_label_once")
        ]

    def __str__(self) -> str:
        return self.name
