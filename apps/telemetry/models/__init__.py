"""Tables of telemetry, by what they are about."""

from apps.telemetry.models.costs import CostDay, CostDaySlice, CostHour, CostHourSlice, DirtyHour
from apps.telemetry.models.intake import IntakeBatch, IntakeRefusal, IntakeRejection
from apps.telemetry.models.review import ReviewItem, ReviewLabel, ReviewRule, TraceNote
from apps.telemetry.models.sample import SampleLoad
from apps.telemetry.models.spans import SkewedSpan, Span, SpanPayload

__all__ = [
    "CostDay",
    "CostDaySlice",
    "CostHour",
    "CostHourSlice",
    "DirtyHour",
    "IntakeBatch",
    "IntakeRefusal",
    "IntakeRejection",
    "ReviewItem",
    "ReviewLabel",
    "ReviewRule",
    "SampleLoad",
    "SkewedSpan",
    "Span",
    "SpanPayload",
    "TraceNote",
]
