"""Scores: what people and programs thought of an answer."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q


class Score(models.Model):
    """One score of a trace, a span or a session. Field meanings are those of `scoring.ScoreRecord`.

    The dimensions are those of what was scored, empty until it is known; `placed_at` says when they were looked up
    with success. A score of a span alone gets its trace with them.
    """

    pk = models.CompositePrimaryKey("project_id", "score_id")
    project_id = models.BigIntegerField()
    score_id = models.UUIDField()
    trace_id = models.BinaryField(null=True)
    span_id = models.BinaryField(null=True)
    session_id = models.TextField()
    name = models.TextField()
    data_type = models.TextField()
    value = models.FloatField(null=True)
    label = models.TextField()
    comment = models.TextField()
    user_id = models.TextField()
    source = models.TextField()
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    digest = models.BinaryField()
    environment = models.TextField()
    feature = models.TextField()
    provider = models.TextField()
    model = models.TextField()
    prompt_version = models.TextField()
    call_source = models.TextField()
    placed_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "at", "score_id"], name="telemetry_score_at"),
            models.Index(fields=["project_id", "name", "at"], name="telemetry_score_name"),
            models.Index(
                fields=["project_id", "trace_id"], condition=Q(trace_id__isnull=False), name="telemetry_score_trace"
            ),
            models.Index(
                fields=["project_id", "session_id"], condition=~Q(session_id=""), name="telemetry_score_session"
            ),
            models.Index(
                fields=["project_id", "span_id"], condition=Q(trace_id__isnull=True), name="telemetry_score_span_alone"
            ),
            models.Index(
                fields=["project_id", "received_at"],
                condition=Q(placed_at__isnull=True),
                name="telemetry_score_unplaced",
            ),
        ]
