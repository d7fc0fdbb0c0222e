"""What telemetry clients call things, and what we call them: one module for each dialect, read in a fixed order. Pure.

`read` makes a `Reading` of any OTLP span, `read_log` what a log record says of one: a score, or content that belongs to
a span. Both take every value as it comes: one that cannot be read is left among the attributes.
"""

from __future__ import annotations

from apps.telemetry.dialects import (
    agents_openinference,
    anthropic,
    langfuse,
    litellm,
    llama_index,
    logfire,
    logs,
    mlflow,
    openinference,
    openlit,
    openllmetry,
    otel_genai,
    vercel,
)
from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.logs import LogReading
from apps.telemetry.dialects.reader import Reader
from apps.telemetry.otlp import OtlpLog, OtlpSpan
from apps.telemetry.reading import Reading, ScoreReading

__all__ = ["DIALECTS", "LogReading", "read", "read_log"]

DIALECTS = (
    otel_genai.DIALECT,
    openinference.DIALECT,
    openllmetry.DIALECT,
    vercel.DIALECT,
    vercel.DIALECT_7,
    langfuse.DIALECT,
    mlflow.DIALECT,
    litellm.DIALECT,
    logfire.DIALECT,
    openlit.DIALECT,
    anthropic.DIALECT,
    agents_openinference.DIALECT,
    llama_index.DIALECT,
)
"""First ones are asked first for a field, where their tables give no other rank."""

RESOURCE_FIELDS: dict[str, tuple[str, to.Read]] = {
    "service.name": ("service", to.text),
    "deployment.environment.name": ("environment", to.text),
    "deployment.environment": ("environment", to.text),
    "environment": ("environment", to.text),
    "langfuse.environment": ("environment", langfuse.environment),
    "user.id": ("user_id", to.text),
    "enduser.id": ("user_id", to.text),
    "session.id": ("session_id", to.text),
    "feature": ("feature", to.text),
    "prodworthy.feature": ("feature", to.text),
    "prodworthy.environment": ("environment", to.text),
}
"""What a resource says of all its spans; a span's own word is stronger."""

_reader = Reader(DIALECTS, RESOURCE_FIELDS)


def read(span: OtlpSpan) -> Reading:
    """The span under our names; what was not understood is among its attributes. Takes nothing from other spans."""
    return _reader.read(span)


def read_log(log: OtlpLog) -> LogReading | ScoreReading | None:
    """What a log record says of a span: a score, or content; None if it says neither."""
    return logs.read(log)
