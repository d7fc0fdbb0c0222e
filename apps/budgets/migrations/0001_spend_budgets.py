"""Spend budgets and what was told of them."""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Spend budgets and what was told of them."""

    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = [("projects", "0002_audit_is_append_only")]
    operations: ClassVar[list[Operation]] = []
