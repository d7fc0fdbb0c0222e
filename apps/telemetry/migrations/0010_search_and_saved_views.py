"""The search index and saved views."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """The search index and saved views."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0009_retrieval_and_agents")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = []
