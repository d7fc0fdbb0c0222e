"""`manage.py facts rebuild` works out the facts of retrievals, tasks and tool runs anew from the spans."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.telemetry.selectors.rollups import projects_with_records
from apps.telemetry.services import fact_summaries, trace_facts


class Command(BaseCommand):
    """Facts. They follow the intake by themselves; this is for spans that were stored before there were any."""

    help = "Works out the facts of retrievals, tasks and tool runs anew from the spans."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`rebuild [--project SLUG] [--from DAY] [--to DAY]`."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        rebuild = verbs.add_parser("rebuild", help="work them out anew; safe while spans arrive")
        rebuild.add_argument("--project", metavar="SLUG", help="only this project; all of them if left out")
        rebuild.add_argument("--from", dest="first", type=date.fromisoformat, help="first day (UTC), as 2026-01-31")
        rebuild.add_argument("--to", dest="last", type=date.fromisoformat, help="last day (UTC); today if left out")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild project by project, and say how many traces were looked at."""
        now = clock.now()
        projects = projects_with_records(options["project"])
        if not projects:
            raise CommandError("There is no such project." if options["project"] else "There is no project yet.")
        for project in projects:
            first = options["first"] or (now - timedelta(days=project.retention_days)).date()
            last = options["last"] or (now + timedelta(days=1)).date()
            traces = trace_facts.rebuild(project.pk, first=first, last=last, now=now)
            self.stdout.write(f"{project.slug}: {traces} traces from {first} to {last}")
        while fact_summaries.summarise(now=now):
            pass
