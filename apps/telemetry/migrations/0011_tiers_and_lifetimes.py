"""The service tier of a call and the tokens it had cached for an hour, without which its price is another."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

COLUMNS = """
ALTER TABLE telemetry_span
  ADD COLUMN service_tier text NOT NULL DEFAULT '',
  ADD COLUMN cache_write_1h_tokens bigint
"""
WITHOUT_COLUMNS = "ALTER TABLE telemetry_span DROP COLUMN service_tier, DROP COLUMN cache_write_1h_tokens"


class Migration(migrations.Migration):
    """The service tier, and the lifetime of what was cached."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("telemetry", "0010_search_and_saved_views")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.RunSQL(COLUMNS, WITHOUT_COLUMNS),
    ]
