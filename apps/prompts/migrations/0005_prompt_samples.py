"""Placeholder: filled in by the part that needs it."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """See above."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("prompts", "0004_git")]
    operations: ClassVar[list[migrations.RunSQL]] = []
