"""Verify the audit trail."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.projects import audit


class Command(BaseCommand):
    """`manage.py audit verify`"""

    help = "Recompute every audit chain and compare it with what is stored. Fails when a chain is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One verb so far."""
        parser.add_argument("verb", choices=["verify"])

    def handle(self, *args: Any, **options: Any) -> None:
        """One line a chain."""
        reports = audit.verify()
        for report in reports:
            chain = "installation" if report.project_id is None else f"project {report.project_id}"
            verdict = "whole" if not report.problems else "; ".join(report.problems)
            self.stdout.write(f"{chain}: {report.entries} entries, end {report.end_hash}: {verdict}")
        if any(report.problems for report in reports):
            raise CommandError("The audit trail was changed.")
