"""The account of the intake: received = stored + updated + duplicates + rejected, request by request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.utils import CursorWrapper

from apps.core import clock
from apps.telemetry.types import Batch, Outcome, Rejection

Key = tuple[int, bytes, bytes, datetime]

COLUMNS_OF_BATCH = "project_id, key_id, client, at, received, stored, updated, duplicates, rejected, reasons"
TYPES_OF_BATCH = (
    "%s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[], " + ", ".join(["%s::int[]"] * 5) + ", %s::jsonb[]"
)

# One statement for the hours that became dirty and the requests, since each is a turn to the server and back.
BOOK = f"""
WITH marked AS (
  INSERT INTO telemetry_dirtyhour (project_id, hour, marked_at)
  SELECT *, %s::timestamptz FROM unnest(%s::bigint[], %s::timestamptz[])
)
INSERT INTO telemetry_intakebatch ({COLUMNS_OF_BATCH}) SELECT * FROM unnest({TYPES_OF_BATCH})
"""  # noqa: S608 -- only names of our own columns are put in

BOOK_REJECTION = """
INSERT INTO telemetry_intakerejection (project_id, key_id, at, list_name, position, code, message, sample)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""

MAX_SAMPLES_PER_REQUEST = 20
"""How many refused items of one request are kept with their text; all of them are counted and answered."""


def tally(batches: Sequence[Batch], fates: dict[Key, str]) -> list[Outcome]:
    """What became of each request's items, when `fates` says what became of each key.

    The first report of a key in this transaction has the key's fate; a later one is a duplicate if it is the same to
    the byte, and an update otherwise.
    """
    if len(fates) == sum(len(batch.spans) for batch in batches) and set(fates.values()) <= {"stored"}:
        return [Outcome(stored=len(batch.spans), rejected=list(batch.rejected)) for batch in batches]
    seen: dict[Key, set[bytes]] = {}
    outcomes = []
    for batch in batches:
        outcome = Outcome(rejected=list(batch.rejected))
        for span in batch.spans:
            digests = seen.setdefault(span.key, set())
            fate = fates[span.key] if not digests else ("duplicate" if span.digest in digests else "updated")
            digests.add(span.digest)
            outcome.stored += fate == "stored"
            outcome.updated += fate == "updated"
            outcome.duplicates += fate == "duplicate"
        outcomes.append(outcome)
    return outcomes


def lines_of(batches: Sequence[Batch], outcomes: Sequence[Outcome]) -> list[list[Any]]:
    """The columns of the account's lines, one for each request."""
    lines = (
        (
            batch.project_id,
            batch.key_id,
            batch.client,
            batch.received_at,
            batch.received,
            outcome.stored,
            outcome.updated,
            outcome.duplicates,
            len(outcome.rejected),
            reasons_of(outcome.rejected),
        )
        for batch, outcome in zip(batches, outcomes, strict=True)
    )
    return [list(column) for column in zip(*lines, strict=True)]


def reasons_of(rejected: Sequence[Rejection]) -> str | None:
    """How many items were rejected with which code, as JSON; None for none."""
    return json.dumps(Counter(item.code for item in rejected)) if rejected else None


def book(
    cursor: CursorWrapper,
    batches: Sequence[Batch],
    outcomes: Sequence[Outcome],
    *,
    dirty: Sequence[tuple[int, datetime]] = (),
) -> None:
    """Write down what became of the requests, mark these hours of projects dirty, and keep samples of the refused."""
    projects, hours = [project for project, _ in dirty], [hour for _, hour in dirty]
    cursor.execute(BOOK, [clock.now(), projects, hours, *lines_of(batches, outcomes)])
    book_rejections(cursor, batches)


def book_rejections(cursor: CursorWrapper, batches: Sequence[Batch]) -> None:
    """Keep the beginnings of what was refused."""
    refused = [
        (
            batch.project_id,
            batch.key_id,
            batch.received_at,
            item.list_name,
            item.index,
            item.code,
            item.message,
            item.sample,
        )
        for batch in batches
        for item in batch.rejected[:MAX_SAMPLES_PER_REQUEST]
    ]
    if refused:
        cursor.executemany(BOOK_REJECTION, refused)
