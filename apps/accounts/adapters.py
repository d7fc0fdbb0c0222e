"""Where our rules meet django-allauth: no open sign-up, limits by account, mail that cannot break a page."""

from __future__ import annotations

import logging
import smtplib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from apps.core import sealing

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """People come by set-up link or invitation, never through an open form."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """The account alone. The host that allauth adds comes from a header, so each spelling would have its
        own limit.
        """
        return str(credentials.get("email", "")).strip().lower()

    def get_reset_password_from_key_url(self, key: str) -> str:
        """A link under the configured address, not under the host that the request claims."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        uid, _, token = key.partition("-")
        return settings.PUBLIC_URL + path.replace("UID-KEY", f"{uid}-{token}")

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send, or log that the mail server is down: a notice must not undo what it tells of."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, smtplib.SMTPException):
            log.exception("the mail server did not take a message (%s)", template_prefix)

    def format_email_subject(self, subject: str) -> str:
        """The subject with the product's name."""
        return f"[Prodworthy] {subject}"


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Keeps the secrets of second factors sealed."""

    PLACE = "mfa"

    def encrypt(self, text: str) -> str:
        """The secret as it is stored."""
        return sealing.seal(text, place=self.PLACE)

    def decrypt(self, encrypted_text: str) -> str:
        """The stored secret as it was."""
        return sealing.unseal(encrypted_text, place=self.PLACE)
