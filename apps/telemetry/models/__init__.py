"""Tables of telemetry, by what they are about."""

from apps.telemetry.models.costs import CostDay, CostDaySlice, CostHour, CostHourSlice, DirtyHour
from apps.telemetry.models.facts import AgentTask, FactMark, FactSummary, Retrieval, ToolRun
from apps.telemetry.models.intake import IntakeBatch, IntakeHour, IntakeRefusal, IntakeRejection
from apps.telemetry.models.lifecycle import Erasure, MaskingSettings, RetentionSettings
from apps.telemetry.models.review import ReviewItem, ReviewLabel, ReviewRule, TraceNote
from apps.telemetry.models.sample import SampleLoad
from apps.telemetry.models.saved_views import SavedView
from apps.telemetry.models.scores import Score
from apps.telemetry.models.search import SearchWords
from apps.telemetry.models.spans import SkewedSpan, Span, SpanPayload

__all__ = [
    "AgentTask",
    "CostDay",
    "CostDaySlice",
    "CostHour",
    "CostHourSlice",
    "DirtyHour",
    "Erasure",
    "FactMark",
    "FactSummary",
    "IntakeBatch",
    "IntakeHour",
    "IntakeRefusal",
    "IntakeRejection",
    "MaskingSettings",
    "RetentionSettings",
    "Retrieval",
    "ReviewItem",
    "ReviewLabel",
    "ReviewRule",
    "SampleLoad",
    "SavedView",
    "Score",
    "SearchWords",
    "SkewedSpan",
    "Span",
    "SpanPayload",
    "ToolRun",
    "TraceNote",
]
