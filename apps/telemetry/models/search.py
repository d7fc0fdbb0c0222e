"""The search index, cut into days like the spans it is about."""

from __future__ import annotations

from django.contrib.postgres.search import SearchVectorField

from apps.telemetry.models.spans import SpanKey


class SearchWords(SpanKey):
    """The words of one span and the marks of its fields; see `selectors.search` for how they are written."""

    words = SearchVectorField()

    class Meta:
        managed = False
        db_table = "telemetry_search"
