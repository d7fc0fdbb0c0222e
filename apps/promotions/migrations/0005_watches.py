"""What watches and notices need."""

from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.models import Q


class Migration(migrations.Migration):
    """What watches and notices need: mails that are due are found at once."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("promotions", "0004_rollbacks")]
    operations: ClassVar[list[Operation]] = [
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(
                fields=["mail_due_at"], condition=Q(mail_due_at__isnull=False), name="promotions_notice_to_mail"
            ),
        ),
    ]
