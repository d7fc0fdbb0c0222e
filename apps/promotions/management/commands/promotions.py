"""`promotions ask|show|status`; `apps/promotions/cli/promotions.py` does it, with the standard library alone."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.promotions.cli import promotions as cli


class Command(BaseCommand):
    """Ask for promotions, and see how they stand. Asks no database."""

    help = "Ask for a version to go live over HTTP, and say by the exit code how it stands."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """As Django's, whose own --version makes way."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The verb and its options."""
        cli.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        """Do it, and leave with its exit code."""
        code = cli.run(argparse.Namespace(**options), sys.stdout, sys.stderr)
        if code:
            sys.exit(code)
