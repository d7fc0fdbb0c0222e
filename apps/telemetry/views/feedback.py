"""The page behind a feedback link, and what the script of a foreign page sends to the same address.

No cookie is read: the token in the address alone decides, so pages of anybody may send, and CSRF has nothing to steal.
"""

from __future__ import annotations

import json
from typing import Any

from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from apps.core import clock
from apps.core.errors import DomainError
from apps.core.permissions import open_page, token_page
from apps.telemetry.services import feedback
from apps.telemetry.services.feedback import Link

MOST_BYTES = 32_768
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
POLICY = {
    "default-src": ["'none'"],
    "script-src": ["'none'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "connect-src": ["'none'"],
    "font-src": ["'none'"],
    "manifest-src": ["'none'"],
    "form-action": ["'self'"],
}


@open_page
def feedback_script(request: HttpRequest) -> HttpResponse:
    """The script that pages of others embed, at an address that stays when the script changes."""
    response = HttpResponseRedirect(static("js/feedback.js"))
    response["Cache-Control"] = "public, max-age=3600"
    return response


@token_page
@csrf_exempt
@csp_replace(POLICY)  # type: ignore[arg-type]
def feedback_page(request: HttpRequest, token: str) -> HttpResponse:
    """Thumbs or stars for whoever has the link; a vote as a form or as JSON."""
    response = _answer(request, token)
    response["Access-Control-Allow-Origin"] = "*"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    response["Cache-Control"] = "no-store"
    return response


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    if request.method == "OPTIONS":
        return _preflight()
    if request.method not in METHODS:
        return HttpResponse(status=405, headers={"Allow": ", ".join(METHODS)})
    is_json = request.method == "POST" and not _is_form(request)
    try:
        link = feedback.read_token(token, now=clock.now())
        if request.method == "POST":
            return _voted(request, link, token, is_json=is_json)
    except DomainError as error:
        return _refused(request, error, is_json=is_json)
    return render(request, "telemetry/feedback.html", _context(link, is_done="done" in request.GET))


def _preflight() -> HttpResponse:
    """What a browser asks before a page of another origin may send JSON here."""
    headers = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Max-Age": "86400",
    }
    return HttpResponse(status=204, headers=headers)


def _is_form(request: HttpRequest) -> bool:
    return request.content_type in {"application/x-www-form-urlencoded", "multipart/form-data"}


def _voted(request: HttpRequest, link: Link, token: str, *, is_json: bool) -> HttpResponse:
    said = _json(request) if is_json else request.POST.dict()
    value = said.get("value", said.get("label"))
    feedback.vote(link, value=value, comment=str(said.get("comment") or "").strip(), now=clock.now())
    if is_json:
        return JsonResponse({"stored": True})
    return HttpResponseRedirect(f"{reverse('feedback', kwargs={'token': token})}?done")


def _json(request: HttpRequest) -> dict[str, Any]:
    """The body as an object. Raises VoteRefused."""
    if len(request.body) > MOST_BYTES:
        raise feedback.VoteRefused("That is too long.")
    try:
        said = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise feedback.VoteRefused('Send JSON such as {"value": 1}.') from error
    if not isinstance(said, dict):
        raise feedback.VoteRefused('Send JSON such as {"value": 1}.')
    return said


def _refused(request: HttpRequest, error: DomainError, *, is_json: bool) -> HttpResponse:
    if is_json:
        response: HttpResponse = JsonResponse(error.as_dict(), status=error.http_status)
    else:
        response = render(request, "telemetry/feedback.html", {"error": error.text}, status=error.http_status)
    if error.retry_after_seconds is not None:
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def _context(link: Link, *, is_done: bool) -> dict[str, Any]:
    return {
        "is_thumbs": link.kind == feedback.THUMBS,
        "stars": feedback.STARS,
        "is_done": is_done,
        "longest": feedback.MAX_COMMENT_CHARS,
    }
