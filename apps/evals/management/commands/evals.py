"""`evals run|show|results|import`; `apps/evals/cli/evals.py` does it, with HTTP and the standard library alone."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.evals.cli import evals as cli


class Command(BaseCommand):
    """Start eval runs, read them, send examples. Asks no database."""

    help = "Run evals of a project over HTTP, and say by the exit code whether they passed."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """As Django's, whose own --version makes way for the prompt's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The verb and its options."""
        cli.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        """Do it, and leave with its exit code."""
        code = cli.run(argparse.Namespace(**options), sys.stdout, sys.stderr)
        if code:
            sys.exit(code)
