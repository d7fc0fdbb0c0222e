"""Writing the search index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.backends.utils import CursorWrapper

from apps.telemetry.selectors.search import AT_ONCE, SpanKey, read_words, vector

# A day whose contents are no longer kept has no part of the index, and a late span of it is not indexed.
WRITE = """
INSERT INTO telemetry_search (project_id, trace_id, span_id, started_at, words)
SELECT p, t, s, at, words::tsvector
FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[], %s::timestamptz[], %s::text[]) AS found (p, t, s, at, words)
WHERE to_regclass('telemetry_search_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD')) IS NOT NULL
ON CONFLICT (project_id, trace_id, span_id, started_at) DO UPDATE SET words = excluded.words
WHERE telemetry_search.words <> excluded.words
"""


def index(cursor: CursorWrapper, keys: Sequence[tuple[int, bytes, bytes, datetime]]) -> int:
    """Write these spans into the search index as they are stored now; returns how many rows were written.

    Safe to repeat: what is there already and has not changed is left alone. Keys of spans that are gone are skipped.
    """
    # One order for all writers, so that two of them wait for each other in one direction alone.
    wanted = sorted({SpanKey(*key) for key in keys}, key=_place)
    written = 0
    for first in range(0, len(wanted), AT_ONCE):
        rows = [
            (*key, vector(key.project_id, words, marks))
            for key, words, marks in read_words(cursor, wanted[first : first + AT_ONCE])
        ]
        if rows:
            cursor.execute(WRITE, [list(column) for column in zip(*rows, strict=True)])
            written += cursor.rowcount
    return written


def _place(key: SpanKey) -> tuple[datetime, int, bytes, bytes]:
    return key.started_at, key.project_id, key.trace_id, key.span_id
