"""Content of spans that came as log records, read when the spans are looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection

from apps.telemetry.log_content import LogRecord, assemble
from apps.telemetry.selectors.spans import SpanView

NEAR = timedelta(days=1)
"""How far from its span's start a record is looked for."""

READ = """
SELECT span_id, event_name, at, body, attributes FROM telemetry_logpart
WHERE project_id = %s AND trace_id = ANY (%s) AND span_id = ANY (%s) AND at >= %s AND at < %s
ORDER BY at, digest LIMIT 10000
"""


def add_log_content(project_id: int, spans: Sequence[SpanView]) -> None:
    """Give spans that have no input and no output of their own what came as log records for them."""
    bare = [span for span in spans if span.input is None and span.output is None]
    if not bare:
        return
    starts = [span.started_at for span in bare]
    with connection.cursor() as cursor:
        cursor.execute(
            READ,
            [
                project_id,
                [bytes.fromhex(trace) for trace in {span.trace_id for span in bare}],
                [bytes.fromhex(span.span_id) for span in bare],
                min(starts) - NEAR,
                max(starts) + NEAR,
            ],
        )
        rows = cursor.fetchall()
    records: dict[str, list[LogRecord]] = {}
    for span_id, event_name, at, body, attributes in rows:
        record = LogRecord(event_name, at, _value(body), _value(attributes) or {})
        records.setdefault(bytes(span_id).hex(), []).append(record)
    for span in bare:
        if span.span_id in records:
            messages = assemble(records[span.span_id])
            span.input, span.output = messages.input, messages.output
            span.has_log_content = messages.input is not None or messages.output is not None


def _value(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text
