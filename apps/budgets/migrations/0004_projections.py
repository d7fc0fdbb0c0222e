"""Projections and their approval."""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Projections and their approval."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("budgets", "0003_latency_targets")]
    operations: ClassVar[list[Operation]] = []
