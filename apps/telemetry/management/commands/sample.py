"""Make, fill or remove somebody's sample project."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from apps.accounts.models import User
from apps.accounts.selectors import find_user
from apps.core import clock
from apps.projects.models import Project
from apps.projects.types import Actor
from apps.telemetry.selectors.sample import find_sample, sample_state
from apps.telemetry.services import sample

ACTOR = Actor(kind="system", id=None, name="manage.py sample")
WAIT_SECONDS = 0.5


class Command(BaseCommand):
    """`manage.py sample --owner EMAIL [--remove]`"""

    help = "Make a project with sample data for somebody and fill it, or go on where that stopped, or remove it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose sample it is."""
        parser.add_argument("--owner", required=True, metavar="EMAIL")
        parser.add_argument("--remove", action="store_true", help="remove the owner's sample project")

    def handle(self, *args: Any, **options: Any) -> None:
        """Tell how far it is; fail with a sentence."""
        owner = find_user(options["owner"])
        if owner is None:
            raise CommandError(f"Nobody here has the address {options['owner']}.")
        if options["remove"]:
            self._remove(owner)
        else:
            project = sample.create_sample(owner=owner, actor=ACTOR, now=clock.now())
            self._fill(project)

    def _fill(self, project: Project) -> None:
        """Load parts here; a worker that was woken up may load others meanwhile."""
        said = 0
        while (state := sample_state(project.pk)) is not None and not state.is_ready:
            if state.calls_loaded > said:
                said = state.calls_loaded
                self.stderr.write(f"Loading sample data: {said:,} of {state.calls:,} calls")
            if not sample.load_next(project.pk, now=clock.now()):
                connection.close()
                time.sleep(WAIT_SECONDS)
        self.stdout.write(f"{project.slug} is ready.")

    def _remove(self, owner: User) -> None:
        project = find_sample(owner)
        if project is None:
            raise CommandError(f"{owner.email} has no sample project.")
        sample.remove_sample(project=project, actor=ACTOR, now=clock.now())
        self.stdout.write(f"{project.slug} is removed.")
