"""Exports of eval sets as answers to a request."""

from __future__ import annotations

from django.http import StreamingHttpResponse

from apps.evals.importing.writing import MEDIA_TYPES
from apps.evals.models import EvalSet
from apps.evals.selectors.set_imports import exported


def streamed(eval_set: EvalSet, revision: int, form: str) -> StreamingHttpResponse:
    """The revision's examples as a download that begins at once; `form` is one of MEDIA_TYPES."""
    response = StreamingHttpResponse(exported(eval_set, revision, form), content_type=MEDIA_TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{eval_set.slug}-r{revision}.{form}"'
    response["Cache-Control"] = "no-store"
    return response
