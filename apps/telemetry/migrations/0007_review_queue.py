"""Flags, notes and the review queue."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """Flags, notes and the review queue."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0006_scores")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = []
