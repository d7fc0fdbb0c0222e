"""Facts of retrievals and of agents' tasks."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """Facts of retrievals and of agents' tasks."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0008_retention_and_masking")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = []
