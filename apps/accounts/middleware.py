"""Ends sessions that are too old, idle for too long, or of people whose account is no longer active."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest, HttpResponse

from apps.core import clock

BEGAN, SEEN = "began_at", "seen_at"
SEEN_NOTED_EVERY_SECONDS = 300


class SessionLimitsMiddleware:
    """Twelve hours without a request or seven days in all end a session, whichever comes first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # A request without a session cookie has no session to look at, and must not pay for a look.
        if settings.SESSION_COOKIE_NAME in request.COOKIES:
            self._keep_limits(request)
        return self.get_response(request)

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
