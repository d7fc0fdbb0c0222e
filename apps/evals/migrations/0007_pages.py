"""Reserved; see the module's name."""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Nothing yet."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("evals", "0006_runs")]

    operations: ClassVar[list[Operation]] = []
