"""Every write that concerns people: accounts, set-up links, sessions."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from apps.accounts import passwords, selectors
from apps.accounts.models import SetupLink, User
from apps.core.errors import Conflict, Invalid

SETUP_LINK_LIFETIME = timedelta(hours=1)


class AccountExists(Conflict):
    """The first account was asked for, but there is one."""

    code = "account_exists"
    message = "There is an account already. Sign in, or ask an admin of your project for an invitation."


def make_setup_link(*, now: datetime) -> str:
    """The token of a new one-time link that makes the first account; earlier links stop working.

    Only its hash is kept. It lives for an hour. Raises AccountExists when anybody has an account.
    """
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        if selectors.has_accounts():
            raise AccountExists
        SetupLink.objects.filter(used_at=None).delete()
        SetupLink.objects.create(
            token_hash=selectors.token_hash(token), created_at=now, expires_at=now + SETUP_LINK_LIFETIME
        )
    return token


@transaction.atomic
def use_setup_link(token: str, *, now: datetime) -> None:
    """Spend the link. Raises SetupLinkInvalid unless this caller is the first within its hour."""
    spent = SetupLink.objects.filter(token_hash=selectors.token_hash(token), used_at=None, expires_at__gt=now).update(
        used_at=now
    )
    if spent != 1:
        raise selectors.SetupLinkInvalid


@transaction.atomic
def create_first_account(*, email: str, name: str, password: str, words: list[str], now: datetime) -> User:
    """The first account of the installation. Raises AccountExists, or Invalid as `create_account` does."""
    with connection.cursor() as cursor:
        # Two set-ups at once must not both find the table empty.
        cursor.execute("LOCK TABLE accounts_user IN SHARE ROW EXCLUSIVE MODE")
    if selectors.has_accounts():
        raise AccountExists
    return create_account(email=email, name=name, password=password, words=words, now=now)


@transaction.atomic
def create_account(*, email: str, name: str, password: str, words: list[str], now: datetime) -> User:
    """A new person. `words` are texts whose words the password may not contain, such as the project's name.

    Raises Invalid for an address that has an account, or for a password that breaks the rules.
    """
    user = User(email=User.objects.normalize_email(email), name=name.strip(), created_at=now)
    check_password_rules(password, user=user, words=words)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise Invalid(email=["This address has an account already. Sign in with it."]) from error
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def check_password_rules(password: str, *, user: User, words: list[str]) -> None:
    """Raise Invalid with a sentence for each rule the password breaks."""
    try:
        validate_password(password, user=user)
        passwords.refuse_context_words(password, words)
    except ValidationError as error:
        raise Invalid(password=error.messages) from error


def change_profile(*, user: User, name: str, theme: str) -> None:
    """Set the name others see and the theme. Raises Invalid for a theme that does not exist."""
    if theme not in User.Theme.values:
        raise Invalid(theme=["Choose system, light or dark."])
    User.objects.filter(pk=user.pk).update(name=name.strip(), theme=theme)


@transaction.atomic
def disable_account(*, user: User) -> int:
    """Close the account: no more sign-in, and every session ends with its next request.

    Returns how many sessions were ended at once. Keys the person made stop within five seconds.
    """
    User.objects.filter(pk=user.pk).update(is_active=False)
    return end_sessions(user=user)


def end_sessions(*, user: User, keep: str | None = None) -> int:
    """End all sessions of the person but the one whose key is `keep`; returns how many."""
    theirs = [
        session.session_key
        for session in Session.objects.iterator()
        if session.session_key != keep and session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    return Session.objects.filter(session_key__in=theirs).delete()[0]


def forget_expired(*, now: datetime) -> int:
    """Delete sessions and set-up links that have run out; returns how many rows."""
    sessions, _ = Session.objects.filter(expire_date__lte=now).delete()
    links, _ = SetupLink.objects.filter(expires_at__lte=now).delete()
    return sessions + links
