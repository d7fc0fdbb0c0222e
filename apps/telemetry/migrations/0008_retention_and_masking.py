"""Retention and masking."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """Retention and masking."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0007_review_queue")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = []
