"""`manage.py rollups rebuild` writes the cost records anew from the spans."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.telemetry.selectors.rollups import projects_with_records
from apps.telemetry.services import rollups


class Command(BaseCommand):
    """Cost records. Nothing is lost by a rebuild: it never reaches back behind the spans that are kept."""

    help = "Writes the cost records anew from the spans."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`rebuild [--project SLUG] [--from DAY] [--to DAY]`."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        rebuild = verbs.add_parser("rebuild", help="write them anew; safe while calls arrive")
        rebuild.add_argument("--project", metavar="SLUG", help="only this project; all of them if left out")
        rebuild.add_argument("--from", dest="first", type=date.fromisoformat, help="first day (UTC), as 2026-01-31")
        rebuild.add_argument("--to", dest="last", type=date.fromisoformat, help="last day (UTC); today if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild project by project, and say how many hours were written."""
        now = clock.now()
        projects = projects_with_records(options["project"])
        if not projects:
            raise CommandError("There is no such project." if options["project"] else "There is no project yet.")
        for project in projects:
            # Spans older than the retention are gone or going, and with them what their records were made of.
            kept = (now - timedelta(days=project.retention_days)).date() + timedelta(days=1)
            first = max(kept, options["first"] or kept)
            last = options["last"] or (now + timedelta(days=1)).date()
            hours = rollups.rebuild(project.pk, first=first, last=last, now=now) if first <= last else 0
            self.stdout.write(f"{project.slug}: {hours} hours from {first} to {last}")
