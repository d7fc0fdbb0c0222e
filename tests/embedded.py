"""A pytest plugin: one PostgreSQL and one Valkey of the test session's own, and a Chromium for browser tests.

With DATABASE_URL or REDIS_URL set, tests use the server named there and this starts none in its place.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from django.conf import settings

from apps.core.stack.postgres import Postgres
from apps.core.stack.valkey import Valkey

STARTED: list[Postgres | Valkey] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the servers once, in the process that hands out tests. Durability stays on, as in production."""
    if _is_worker(session.config) or session.config.option.collectonly:
        return
    log = Path(settings.VAR_DIR) / "log"
    if settings.USES_EMBEDDED_POSTGRES:
        _start(
            Postgres(settings.POSTGRES_DIR, settings.SOCKET_DIR, log / "postgres.log", settings.POSTGRES_BIN)
        )
    if settings.USES_EMBEDDED_VALKEY:
        _start(Valkey(settings.VALKEY_DIR, settings.SOCKET_DIR, log / "valkey.log", settings.VALKEY_BIN))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started and remove the session's directory, also after an interrupt."""
    while STARTED:
        STARTED.pop().stop()
    if not _is_worker(config) and "PRODWORTHY_TEST_VAR" in os.environ:
        shutil.rmtree(os.environ.pop("PRODWORTHY_TEST_VAR"), ignore_errors=True)


def _start(server: Postgres | Valkey) -> None:
    server.prepare()
    STARTED.append(server)
    server.start()
    server.wait_ready()


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
