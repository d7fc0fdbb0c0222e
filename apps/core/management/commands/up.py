"""`manage.py up`: the whole product with one command, for development and for one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from apps.core.stack import first_steps, startup
from apps.core.stack.postgres import Postgres
from apps.core.stack.valkey import Valkey


class Command(BaseCommand):
    """Starts PostgreSQL, Valkey, web, worker and beat, and keeps them alive until Ctrl-C."""

    help = "Run everything: PostgreSQL and Valkey (unless DATABASE_URL, REDIS_URL name others), web, worker, beat."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen; the environment says the same with PRODWORTHY_HOST and PRODWORTHY_PORT."""
        parser.add_argument("--host", default=settings.HTTP_HOST, help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=settings.HTTP_PORT, help="port to listen on (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal. Every expected trouble ends with a sentence and exit code 1."""
        try:
            startup.run(_plan(options["host"], options["port"]), first_link=_first_link, show=self._show)
        except (RuntimeError, OSError) as error:
            raise CommandError(str(error)) from error

    def _show(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _plan(host: str, port: int) -> startup.Plan:
    logs = settings.VAR_DIR / "log"
    url = settings.PUBLIC_URL if "PRODWORTHY_URL" in os.environ else f"http://localhost:{port}"
    postgres = Postgres(settings.POSTGRES_DIR, settings.SOCKET_DIR, logs / "postgres.log", settings.POSTGRES_BIN)
    valkey = Valkey(settings.VALKEY_DIR, settings.SOCKET_DIR, logs / "valkey.log", settings.VALKEY_BIN)
    return startup.Plan(
        base=Path(settings.BASE_DIR),
        var=settings.VAR_DIR,
        host=host,
        port=port,
        url=url,
        postgres=postgres if settings.USES_EMBEDDED_POSTGRES else None,
        valkey=valkey if settings.USES_EMBEDDED_VALKEY else None,
    )


def _first_link(url: str) -> str | None:
    """The set-up link while nobody has an account. Leaves no connection open in this long-lived process."""
    try:
        return first_steps.setup_link(url) if first_steps.nobody_has_an_account() else None
    finally:
        connections.close_all()
