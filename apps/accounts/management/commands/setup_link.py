"""Print a one-time link that makes the first account."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.accounts import services
from apps.core import clock


class Command(BaseCommand):
    """`manage.py setup_link`"""

    help = "Print a one-time link, good for an hour, that makes the first account. Earlier links stop working."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the link; fail where an account exists."""
        try:
            token = services.make_setup_link(now=clock.now())
        except services.AccountExists as error:
            raise CommandError(error.text) from error
        self.stdout.write(f"{settings.PUBLIC_URL}/setup/{token}")
