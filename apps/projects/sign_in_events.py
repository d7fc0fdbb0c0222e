"""Writes sign-ins and changes of second factors into the audit trail.

These are other packages' signals, the only hooks they offer. Our own apps do not talk through signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allauth.account.signals import password_changed, password_reset, password_set
from allauth.core.internal.httpkit import get_client_ip
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_removed, authenticator_reset
from allauth.socialaccount.signals import social_account_added, social_account_removed
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from apps.accounts import selectors as people
from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.core import clock
from apps.projects import audit
from apps.projects.access import actor_of
from apps.projects.types import Actor

NOBODY = Actor(kind="system", id=None, name="somebody not signed in")


def connect() -> None:
    """Listen; called once when the app is ready."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")
    authentication_failed.connect(_second_factor_failed, dispatch_uid="audit")
    for signal, action in (
        (password_changed, "accounts.password_changed"),
        (password_set, "accounts.password_set"),
        (password_reset, "accounts.password_reset"),
        (authenticator_added, "accounts.second_factor_added"),
        (authenticator_removed, "accounts.second_factor_removed"),
        (authenticator_reset, "accounts.recovery_codes_renewed"),
    ):
        signal.connect(_proof_changed(action), weak=False, dispatch_uid=action)
    social_account_added.connect(_sign_on_connected, dispatch_uid="audit")
    social_account_removed.connect(_sign_on_disconnected, dispatch_uid="audit")


def _record(action: str, request: HttpRequest | None, user: User | None, **details: audit.Detail) -> None:
    """One entry in the installation's chain, with the client's address."""
    if request is not None:
        details["address"] = get_client_ip(request) or "unknown"
    actor = NOBODY if user is None else actor_of(user)
    audit.record(actor=actor, action=action, project=None, target=user, at=clock.now(), details=details)


def _signed_in(sender: object, request: HttpRequest, user: User, **_: object) -> None:
    _record("accounts.signed_in", request, user)


def _signed_out(sender: object, request: HttpRequest, user: User | None, **_: object) -> None:
    if user is not None:
        _record("accounts.signed_out", request, user)


def _failed(sender: object, credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: object) -> None:
    # An address without an account is not written down: it may be a password typed into the wrong field.
    tried = people.find_user(str(credentials.get("email", "")))
    details: dict[str, audit.Detail] = {"account": tried.email if tried is not None else "unknown"}
    if request is not None:
        details["address"] = get_client_ip(request) or "unknown"
    audit.record(
        actor=NOBODY,
        action="accounts.sign_in_failed",
        project=None,
        target=tried,
        at=clock.now(),
        details=details,
    )


def _second_factor_failed(sender: object, request: HttpRequest, user: User, **_: object) -> None:
    _record("accounts.second_factor_failed", request, user)


def _proof_changed(action: str) -> Any:
    """A receiver that notes the change and ends the person's other sessions: one of them may be a thief's."""

    def changed(
        sender: object, request: HttpRequest, user: User, authenticator: Authenticator | None = None, **_: object
    ) -> None:
        details: dict[str, audit.Detail] = {} if authenticator is None else {"kind": str(authenticator.type)}
        _record(action, request, user, **details)
        accounts.end_sessions(user=user, keep=request.session.session_key)

    return changed


def _sign_on_connected(sender: object, request: HttpRequest, sociallogin: Any, **_: object) -> None:
    _record("accounts.sign_on_connected", request, sociallogin.user, provider=str(sociallogin.account.provider))


def _sign_on_disconnected(sender: object, request: HttpRequest, socialaccount: Any, **_: object) -> None:
    _record("accounts.sign_on_disconnected", request, socialaccount.user, provider=str(socialaccount.provider))
