"""What asking for promotions needs."""

from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """What asking for promotions needs."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("promotions", "0002_guards")]
    operations: ClassVar[list[Operation]] = [
        migrations.AddField(
            model_name="releaserule",
            name="asks_since",
            field=models.DateTimeField(null=True),
        ),
    ]
