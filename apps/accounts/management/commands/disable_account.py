"""Close an account: nobody signs in with it any more."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.accounts import selectors, services


class Command(BaseCommand):
    """`manage.py disable_account EMAIL`"""

    help = "Close an account: its sessions end at once, and the keys its owner made stop within five seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The address."""
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        """Disable and say what ended."""
        user = selectors.find_user(options["email"])
        if user is None:
            raise CommandError(f"Nobody has an account with the address {options['email']}.")
        ended = services.disable_account(user=user)
        self.stdout.write(f"{user.email} is disabled. Sessions ended: {ended}.")
