"""Alert rules."""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Alert rules."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("budgets", "0001_spend_budgets")]
    operations: ClassVar[list[Operation]] = []
