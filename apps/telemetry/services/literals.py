"""Arrays as PostgreSQL writes them. psycopg quotes element by element, which for a thousand keys takes longer than
storing them; ids and times need no quoting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


def bytes_array(values: Iterable[bytes]) -> str:
    """A `bytea[]` of these values, to be given as text and cast: `%s::text::bytea[]`."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


def times_array(values: Iterable[datetime]) -> str:
    """A `timestamptz[]` of these times, which have a time zone."""
    return "{" + ",".join([value.isoformat() for value in values]) + "}"


def numbers_array(values: Iterable[int]) -> str:
    """A `bigint[]` of these numbers."""
    return "{" + ",".join(map(str, values)) + "}"
