"""What rollbacks and drills need."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """What rollbacks and drills need."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("promotions", "0003_asking")]
    operations: ClassVar[list[Operation]] = [
        migrations.AlterField(
            model_name="rollback",
            name="bad",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="rollbacks_away",
                to="prompts.deployment",
            ),
        ),
        migrations.AddIndex(
            model_name="rollback",
            index=models.Index(fields=["project", "-asked_at"], name="promotions_rollback_newest"),
        ),
        migrations.AddIndex(
            model_name="rollback",
            index=models.Index(
                condition=models.Q(("state", "measuring")), fields=["asked_at"], name="promotions_rollback_measuring"
            ),
        ),
    ]
