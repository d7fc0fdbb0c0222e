"""The pages that say what went wrong: what it is, what to do, and the request's id for whoever is asked."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from apps.core import logs


def _page(request: HttpRequest, template: str, status: int) -> HttpResponse:
    return render(request, template, {"request_id": logs.request_id.get()}, status=status)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: signed in, but the role does not allow it."""
    return _page(request, "403.html", 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: nothing there, or nothing this person may know of; the two look the same."""
    return _page(request, "404.html", 404)


def failed(request: HttpRequest) -> HttpResponse:
    """500: our mistake. Rendered without the request, since a session or a person would need the database."""
    return HttpResponse(render_to_string("500.html", {"request_id": logs.request_id.get()}), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form whose token is missing or old; what was typed is still in the browser's history."""
    return _page(request, "403_csrf.html", 403)
