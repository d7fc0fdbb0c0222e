"""The API reference: it speaks of every app, so it is above them all."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularJSONAPIView

from apps.core.permissions import person_page

_schema_view = SpectacularJSONAPIView.as_view()


@person_page
@require_safe
def api_schema(request: HttpRequest) -> HttpResponseBase:
    """The OpenAPI document as JSON."""
    return _schema_view(request)


@person_page
@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """The document to read and to try, with the reader's own rights."""
    return render(request, "api_docs.html")
