"""Reads of people, their sessions and set-up links."""

from __future__ import annotations

import hashlib
from datetime import datetime

from apps.accounts.models import SetupLink, User
from apps.core.errors import DomainError


class SetupLinkInvalid(DomainError):
    """The link was never made, was used, has run out, or somebody has an account already."""

    code, http_status = "setup_link_invalid", 404
    message = "This set-up link does not work. Make a new one with: python manage.py setup_link"


def token_hash(token: str) -> bytes:
    """What is kept of a link's token: its SHA-256. A token is random, so a fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def has_accounts() -> bool:
    """True once anybody has an account."""
    return User.objects.exists()


def find_user(email: str) -> User | None:
    """The person with this address, whatever its case."""
    return User.objects.filter(email=User.objects.normalize_email(email)).first()


def find_person(pk: int) -> User | None:
    """The person with this key."""
    return User.objects.filter(pk=pk).first()


def get_setup_link(token: str, *, now: datetime) -> SetupLink:
    """The usable link with this token. Raises SetupLinkInvalid."""
    link = SetupLink.objects.filter(token_hash=token_hash(token), used_at=None, expires_at__gt=now).first()
    if link is None or has_accounts():
        raise SetupLinkInvalid
    return link
