"""An index by which online evals find what arrived since they last looked.

Rows of a partition lie in the order in which they arrived, so ranges of blocks are enough: the index is a few pages
and costs intake nothing that can be measured.
"""

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation

MAKE = """
CREATE INDEX IF NOT EXISTS evals_span_arrival ON telemetry_span USING brin (received_at) WITH (pages_per_range = 32)
"""


class Migration(migrations.Migration):
    """The index is on a table of telemetry, and for evals alone."""

    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("evals", "0008_comparisons"),
        ("telemetry", "0010_search_and_saved_views"),
    ]

    operations: ClassVar[list[Operation]] = [
        migrations.RunSQL(MAKE, "DROP INDEX IF EXISTS evals_span_arrival"),
    ]
