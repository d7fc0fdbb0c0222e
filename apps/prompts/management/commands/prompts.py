"""`prompts pull|push|status`; `apps/prompts/cli/prompts.py` does it, with nothing but HTTP and the standard library."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand

from apps.prompts.cli import prompts as cli


class Command(BaseCommand):
    """Bring prompt files and the prompts of a project together. Asks no database."""

    help = "Pull prompts into files, push files as versions, or say how the two stand."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The verb and its options."""
        cli.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        """Do it, and leave with its exit code."""
        code = cli.run(argparse.Namespace(**options), sys.stdout, sys.stderr)
        if code:
            sys.exit(code)
