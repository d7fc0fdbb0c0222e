"""Signing somebody in who has just made their account, without asking for the password they have just chosen."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from django.http import HttpRequest

from apps.accounts.models import User


def sign_in(request: HttpRequest, user: User) -> None:
    """Begin a new session for the person and count it as a sign-in by password."""
    get_adapter(request).login(request, user)
    record_authentication(request, user, "password", email=user.email)
