"""Latency targets, their evidence and probes."""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Latency targets, their evidence and probes."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("budgets", "0002_alert_rules")]
    operations: ClassVar[list[Operation]] = []
