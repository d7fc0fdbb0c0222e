"""Scores."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """Scores."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0005_calls_are_counted_once")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = []
