"""Finding a trace by its id alone."""

from __future__ import annotations

from datetime import datetime

from apps.telemetry.models import Span


def start_of_trace(project_id: int, trace_id: str) -> datetime | None:
    """The start of one of the trace's spans, for its address; None when the project has no such trace.

    Looks into the index of every partition, as only the id is known.
    """
    spans = Span.objects.filter(project_id=project_id, trace_id=bytes.fromhex(trace_id))
    return spans.values_list("started_at", flat=True).first()
