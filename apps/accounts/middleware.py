"""Ends sessions that are too old, idle for too long, or of people whose account is no longer active."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, SESSION_KEY, logout
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from apps.core import clock

BEGAN, SEEN = "began_at", "seen_at"
SEEN_NOTED_EVERY_SECONDS = 300


def _goes_to_sign_in(response: HttpResponse) -> bool:
    """True for the redirect that meets whoever is not signed in."""
    return response.status_code == 302 and urlsplit(response["Location"]).path == reverse(settings.LOGIN_URL)


def _whole_page_to_sign_in(request: HttpRequest) -> HttpResponse:
    """Make htmx leave the page: followed as usual, the redirect would put the sign-in form into a region of it."""
    here = urlsplit(request.headers.get("HX-Current-URL", "/"))
    back = here.path + (f"?{here.query}" if here.query else "")
    sign_in = f"{reverse(settings.LOGIN_URL)}?{urlencode({REDIRECT_FIELD_NAME: back})}"
    return HttpResponse(status=204, headers={"HX-Redirect": sign_in})


class SessionLimitsMiddleware:
    """Twelve hours without a request or seven days in all end a session, whichever comes first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A request without a session cookie has no session to look at, and must not pay for a look.
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            self._keep_limits(request)
        response = self.get_response(request)
        if "HX-Request" in request.headers and _goes_to_sign_in(response):
            return _whole_page_to_sign_in(request)
        return response

    def _keep_limits(self, request: HttpRequest) -> None:
        """End the session, or note that it is in use (at most every five minutes, to spare the database)."""
        session = request.session
        if SESSION_KEY not in session:
            return
        now = int(clock.now().timestamp())
        began, seen = session.get(BEGAN, now), session.get(SEEN, now)
        too_old = now - began >= settings.SESSION_ABSOLUTE_AGE_SECONDS
        too_idle = now - seen >= settings.SESSION_COOKIE_AGE
        # The backend gives no user for an inactive account, though the session still names one.
        if too_old or too_idle or not request.user.is_authenticated:
            logout(request)
            return
        if BEGAN not in session:
            session[BEGAN] = began
        if SEEN not in session or now - seen >= SEEN_NOTED_EVERY_SECONDS:
            session[SEEN] = now
