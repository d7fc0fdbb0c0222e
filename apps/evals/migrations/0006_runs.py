"""What the engine notes besides: calls that were cut off or not traced, and outputs that are still being brought."""

from typing import ClassVar

from django.db import migrations, models
from django.db.migrations.operations.base import Operation


class Migration(migrations.Migration):
    """Columns with defaults alone: no row is written."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("evals", "0005_scorers")]

    operations: ClassVar[list[Operation]] = [
        migrations.AddField("evalrun", "lost_calls", models.PositiveIntegerField(default=0)),
        migrations.AddField("evalrun", "lost_usd", models.DecimalField(decimal_places=12, default=0, max_digits=20)),
        migrations.AddField("evalrun", "untraced_calls", models.PositiveIntegerField(default=0)),
        migrations.AddField("evalrun", "awaits_outputs", models.BooleanField(default=False)),
        migrations.AddField("result", "cached_input_tokens", models.BigIntegerField(null=True)),
        migrations.AddField("result", "cache_write_tokens", models.BigIntegerField(null=True)),
        migrations.AddField("result", "reasoning_tokens", models.BigIntegerField(null=True)),
        migrations.AddField("result", "interrupted", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("result", "is_traced", models.BooleanField(default=False)),
    ]
