"""Words of the playground: where a case came from, and how an answer stands."""

from __future__ import annotations

from enum import StrEnum

SOURCE = "playground"
"""The source of the spans and cost records of runs."""

ENVIRONMENT = "development"
"""Where spans of runs belong: nobody's users see their answers."""

MOST_COLUMNS = 4


class Origin(StrEnum):
    """What a run began with."""

    EMPTY = "empty"
    VERSION = "version"
    DRAFT = "draft"
    TRACE = "trace"


class AnswerState(StrEnum):
    """How an answer stands. `done` may be incomplete; `cancelled` keeps what had come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (AnswerState.QUEUED, AnswerState.RUNNING)
"""The states in which something may still come."""
