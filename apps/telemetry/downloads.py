"""Exports as answers to a request."""

from __future__ import annotations

from datetime import UTC

from django.http import StreamingHttpResponse

from apps.telemetry.services.exporting import MEDIA_TYPES, Export, write


def streamed(export: Export, form: str, slug: str) -> StreamingHttpResponse:
    """The export as a download that begins at once; `slug` is the project's."""
    response = StreamingHttpResponse(write(export, form), content_type=MEDIA_TYPES[form])
    days = f"{export.start.astimezone(UTC):%Y%m%d}-{export.end.astimezone(UTC):%Y%m%d}"
    response["Content-Disposition"] = f'attachment; filename="spans-{slug}-{days}.{form}"'
    response["Cache-Control"] = "no-store"
    return response
