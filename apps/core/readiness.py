"""Is this process able to work? Answered by looking, each time, with a sentence for every look.

Apps above add their own looks with `register`, since this app knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from kombu import Connection
from kombu.exceptions import OperationalError

from apps.core.stack.safety import switched_off

SECONDS_FOR_A_LOOK = 2


@dataclass(frozen=True)
class Finding:
    """What one look found. Only a needed thing that is not well makes the process unready."""

    name: str
    is_well: bool
    says: str
    is_needed: bool = True
    waits_for_broker: bool = False
    """True where a broker that is down is reason enough: Redis alone never makes a process unready."""


Look = Callable[[], Finding]
_looks: dict[str, Look] = {}


def register(name: str, look: Look) -> None:
    """Add a look of an app above; the name replaces an earlier one, so that loading twice does no harm."""
    _looks[name] = look


def findings() -> list[Finding]:
    """Every finding now. Looks of other apps are left out while the database is away: they would only say so too."""
    found = [database(), broker()]
    if found[0].is_well:
        found += [look() for look in _looks.values()]
    return found


def is_ready(found: list[Finding]) -> bool:
    """True if everything needed is well, counting what only waits for a broker that is down as well."""
    broker_is_well = all(finding.is_well for finding in found if finding.name == "broker")
    return all(
        finding.is_well or not finding.is_needed or (finding.waits_for_broker and not broker_is_well)
        for finding in found
    )


def database() -> Finding:
    """Over a connection of its own: one that hangs must not be the one that pages and intake use."""
    fresh = connections.create_connection("default")
    try:
        with fresh.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(SECONDS_FOR_A_LOOK * 1000)])
        off = switched_off(fresh)
        missing = _known_migrations() - set(MigrationRecorder(fresh).applied_migrations())
    except DatabaseError as error:
        return Finding("database", False, f"does not answer: {str(error).strip().splitlines()[0]}")
    finally:
        fresh.close()
    if off:
        return Finding("database", False, f"{', '.join(off)} off: what is acknowledged could be lost")
    if missing:
        return Finding("database", False, f"{len(missing)} migrations are not applied; run manage.py prepare")
    return Finding("database", True, "answers, and every migration is applied")


def broker() -> Finding:
    """Needed by nothing that waits for an answer: jobs have rows, and a schedule finds those that are overdue."""
    timeouts = {"socket_timeout": SECONDS_FOR_A_LOOK, "socket_connect_timeout": SECONDS_FOR_A_LOOK}
    try:
        with Connection(
            settings.CELERY_BROKER_URL, connect_timeout=SECONDS_FOR_A_LOOK, transport_options=timeouts
        ) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=SECONDS_FOR_A_LOOK)
    except (OperationalError, OSError) as error:
        return Finding("broker", False, f"does not answer, so jobs wait: {error}", is_needed=False)
    return Finding("broker", True, "answers", is_needed=False)


@lru_cache(maxsize=1)
def _known_migrations() -> frozenset[tuple[str, str]]:
    """Every migration of the installed apps. They cannot change while the process runs."""
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations or {})
