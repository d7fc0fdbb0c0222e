"""A comparison may wait to be computed."""

from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """The outcome may be missing."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("evals", "0007_pages")]

    operations: ClassVar[list[Operation]] = [
        migrations.AlterField(model_name="comparison", name="outcome", field=models.JSONField(null=True))
    ]
