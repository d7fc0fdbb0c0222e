"""`manage.py reseal`: seal everything with the encryption key in use. Safe to interrupt and to repeat."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import resealing


class Command(BaseCommand):
    """Ends with an error when something could be opened with neither key: then the old one must not go yet."""

    help = "Seal every stored secret with the encryption key in use; the one before it has to be set as well."

    def handle(self, *args: Any, **options: Any) -> None:
        """Go through every column of sealed texts and say what became of them."""
        unreadable = 0
        for done in resealing.reseal():
            unreadable += done.unreadable
            counts = f"{done.brought_over} brought over, {done.current} were current, {done.unreadable} unreadable"
            self.stdout.write(f"{done.name}: {counts}")
        if unreadable:
            raise CommandError(
                f"{unreadable} sealed texts open with neither key. Set PRODWORTHY_ENCRYPTION_KEY_OLD to the key that"
                " they were sealed with and run this again, or enter what they hold anew."
            )
        self.stdout.write("Everything is sealed with the key in use. PRODWORTHY_ENCRYPTION_KEY_OLD can go.")
