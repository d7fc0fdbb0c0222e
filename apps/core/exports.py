"""The one writer of exported tables, so that no cell can become a formula where the table is opened.

Spreadsheets run cells that begin with `=`, `+`, `-`, `@`, a tab or a carriage return, and the full-width forms of
these signs; text that begins so (spaces before it do not help) is prefixed with an apostrophe. Numbers are written as
numbers, also negative ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal

Cell = str | int | float | Decimal | date | datetime | None

STARTERS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The table as CSV with a head row; unknown is an empty cell. Decimals are plain, times ISO 8601."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_MINIMAL)
    writer.writerow([safe_text(column) for column in columns])
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def safe_text(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.lstrip(" \u00a0\u200b\ufeff").startswith(STARTERS) else text
