"""`manage.py retention` deletes what is older than its project keeps it, or says what that would be."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.core import clock
from apps.telemetry.selectors import lifecycle
from apps.telemetry.selectors.retention import what_is_due
from apps.telemetry.selectors.rollups import projects_with_records
from apps.telemetry.services import retention


class Command(BaseCommand):
    """Retention. The schedule does the same once an hour."""

    help = "Deletes telemetry that is older than its project keeps it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`[--dry-run]`."""
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete what is due, or say what is."""
        if options["dry_run"]:
            self._say_what_is_due()
            return
        report = retention.run(now=clock.now(), max_seconds=24 * 3600)
        for done in report.deletions:
            what = f"{done.table} of {done.day}" if done.day else done.table
            how = "dropped" if done.rows is None else f"{done.rows} rows of project {done.project_id}"
            self.stdout.write(f"{what}: {how}")
        if report.is_unfinished:
            self.stdout.write("Some is left: a table was in use. Run it again.")
        if not report.deletions:
            self.stdout.write("Nothing was due.")

    def _say_what_is_due(self) -> None:
        now, nothing = clock.now(), True
        for project in projects_with_records():
            for due in what_is_due(project.pk, lifecycle.ages_of(project), now=now):
                nothing = False
                rows = "uncounted" if due.rows is None else f"{due.rows}"
                until = "" if due.last_at is None else f", up to {due.last_at:%Y-%m-%d}"
                self.stdout.write(f"{project.slug}: {due.table}: {rows} rows{until}")
        if nothing:
            self.stdout.write("Nothing is due.")
