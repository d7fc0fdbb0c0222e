"""Print docs/permissions.md from what the views declare."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from apps.projects.permission_table import as_markdown


class Command(BaseCommand):
    """`manage.py permissions > docs/permissions.md`"""

    help = "Print who may call which address, as Markdown."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the page."""
        self.stdout.write(as_markdown(), ending="")
