"""Requests that a door refuses whole: who was refused, and why, hour by hour.

Their items are never counted as received, so without this nobody would know of them. A door only notes a refusal in
memory; a thread writes what was noted every few seconds, so that a client who is refused a thousand times a second
costs one row. A key that expired or was revoked is looked up by its hash, so that its project learns that a service
still sends with it; what comes with no key of ours belongs to nobody and is not noted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import Error, connection

from apps.core.clock import floor_hour
from apps.core.errors import DomainError
from apps.projects import authentication, keys
from apps.projects.models import ApiKey
from apps.telemetry.texts import clean_text

log = logging.getLogger(__name__)

WRITE_AFTER_SECONDS = 2.0
MOST_NOTED = 5_000
"""Different refusals that are held between two writes; beyond them only those that are held already are counted."""

UPSERT = """
INSERT INTO telemetry_intakerefusal AS held
  (project_id, key_id, hour, door, code, requests, http_status, client, message, last_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (project_id, hour, key_id, door, code) DO UPDATE SET
  requests = held.requests + excluded.requests,
  client = CASE WHEN excluded.last_at >= held.last_at THEN excluded.client ELSE held.client END,
  message = CASE WHEN excluded.last_at >= held.last_at THEN excluded.message ELSE held.message END,
  last_at = greatest(held.last_at, excluded.last_at)
"""


class Caller(NamedTuple):
    """Whose request it was."""

    project_id: int
    key_id: int


class Place(NamedTuple):
    """What is counted together. `caller` is the hash of a key until that is looked up."""

    caller: Caller | bytes
    hour: datetime
    door: str
    code: str


@dataclass(frozen=True)
class Count:
    """How often, and what was said the last time."""

    requests: int
    http_status: int
    client: str
    message: str
    last_at: datetime

    def plus(self, other: Count) -> Count:
        """Both together."""
        last = max(self, other, key=lambda each: each.last_at)
        return replace(last, requests=self.requests + other.requests)


class Refusals:
    """What was refused and is yet to be written. One per process."""

    def __init__(self) -> None:
        self._noted: dict[Place, Count] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def note(self, place: Place, count: Count) -> None:
        """Count a refusal; it is written within a few seconds."""
        with self._lock:
            held = self._noted.get(place)
            if held is None and len(self._noted) >= MOST_NOTED:
                return
            self._noted[place] = count if held is None else held.plus(count)
            if self._timer is None:
                self._timer = threading.Timer(WRITE_AFTER_SECONDS, self._write_in_thread)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write what was noted. What the database does not take now is kept for the next time."""
        with self._lock:
            noted, self._noted = self._noted, {}
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        if not noted:
            return
        try:
            _write(noted)
        except Error as error:
            log.warning("refused requests could not be written down: %s", error)
            for place, count in noted.items():
                self.note(place, count)

    def _write_in_thread(self) -> None:
        try:
            self.write()
        finally:
            connection.close()


refusals = Refusals()


def note_refusal(headers: Mapping[str, str], *, door: str, error: DomainError, now: datetime) -> None:
    """Note that a door answered a request with this error; costs no turn to the database.

    `headers` have names in lower case; the key among them says whose request it was.
    """
    raw = authentication.key_from_headers(headers)
    if not raw or not keys.is_well_formed(raw):
        return
    known = authentication.cached_identity(raw, now=now)
    place = Place(
        Caller(known.project_id, known.key_id) if known else keys.fingerprint(raw, pepper=settings.KEY_PEPPER),
        floor_hour(now),
        door[:100],
        error.code,
    )
    client = clean_text(headers.get("user-agent", "")[:200])[0]
    refusals.note(place, Count(1, error.http_status, client, clean_text(error.text[:500])[0], now))


def _write(noted: Mapping[Place, Count]) -> None:
    found = _callers({place.caller for place in noted if isinstance(place.caller, bytes)})
    merged: dict[Place, Count] = {}
    for place, count in noted.items():
        caller = place.caller if isinstance(place.caller, Caller) else found.get(place.caller)
        if caller is not None:
            whose = place._replace(caller=caller)
            merged[whose] = merged[whose].plus(count) if whose in merged else count
    # In one order, so that two processes do not wait for each other in a ring.
    rows = [
        (*place.caller, place.hour, place.door, place.code, count.requests, count.http_status, count.client,
         count.message, count.last_at)
        for place, count in sorted(merged.items(), key=lambda item: item[0])
    ]  # fmt: skip
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(UPSERT, rows)


def _callers(hashes: Iterable[bytes]) -> dict[bytes, Caller]:
    """The keys behind these hashes, those that no longer work included."""
    rows = ApiKey.objects.filter(key_hash__in=list(hashes)).values_list("key_hash", "project_id", "pk")
    return {bytes(key_hash): Caller(project_id, key_id) for key_hash, project_id, key_id in rows}
