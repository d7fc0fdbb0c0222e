"""`manage.py prepare`: everything that must be done once before web, worker and beat start. Safe to repeat."""

from __future__ import annotations

import time
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection

from apps.core.stack import first_steps, safety, statics

DATABASE_SECONDS = 60


class Command(BaseCommand):
    """Waits for the database, checks its durability, migrates, collects static files, reads prices."""

    help = "Prepare the database and the static files; run before web, worker and beat start. Safe to repeat."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """`--static-only` is for building an image, where there is no database."""
        parser.add_argument("--static-only", action="store_true", help="collect the static files and nothing else")
        parser.add_argument("--quiet-link", action="store_true", help="do not print the link for the first account")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it all, one line each. Raises CommandError with a sentence that says what to change."""
        if options["static_only"]:
            self._step("static files", statics.collect)
            return
        self._wait_for_database()
        with connection.cursor() as cursor:
            # A migration may take longer than a page; and two starts at once must not migrate side by side.
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SELECT pg_advisory_lock(hashtext('prodworthy prepare'))")
        try:
            safety.check_durability(connection)
            trouble = safety.check_broker(settings.CELERY_BROKER_URL)
        except safety.Unsafe as error:
            raise CommandError(str(error)) from error
        if trouble:
            self.stderr.write(trouble)
        self._step("migrations", lambda: call_command("migrate", interactive=False, verbosity=0))
        self._step("cache table", lambda: call_command("createcachetable", verbosity=0))
        self._step("static files", statics.collect)
        if not apps.get_model("providers", "Price")._default_manager.exists():
            self._step("prices", lambda: call_command("prices", "sync"))
        if not options["quiet_link"] and first_steps.nobody_has_an_account():
            self.stdout.write(
                f"Make the first account: {first_steps.setup_link(settings.PUBLIC_URL)} (works once, for one hour)"
            )

    def _wait_for_database(self) -> None:
        deadline = time.monotonic() + DATABASE_SECONDS
        while True:
            try:
                connection.ensure_connection()
                return
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise CommandError(f"The database does not answer: {error}") from error
                time.sleep(0.5)

    def _step(self, name: str, work: Any) -> None:
        started = time.monotonic()
        work()
        self.stdout.write(f"{name}: done in {time.monotonic() - started:.1f} s")
