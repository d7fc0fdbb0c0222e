"""Single sign-on: known people come in by the provider's issuer and subject, new ones only with an
invitation.
"""

from __future__ import annotations

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.contrib import messages
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from apps.accounts import selectors as people
from apps.accounts.models import User
from apps.core import clock
from apps.projects import selectors

INVITATION = "invitation_token_hash"
"""Where the session keeps the hash of the invitation that was opened before signing in with the provider."""


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """An account is never found by its e-mail address: the provider's word for an address is not proof of a
    person.
    """

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Only for somebody who holds the link of an open invitation."""
        digest = request.session.get(INVITATION, "")
        return selectors.is_open_invitation(bytes.fromhex(digest), now=clock.now())

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Say what to do, instead of offering a form, when the provider's person has no account here."""
        if sociallogin.is_existing or request.user.is_authenticated:
            return
        email = sociallogin.user.email or ""
        if people.find_user(email) is not None:
            words = _("This address has an account. Sign in with its password, then connect it under Account.")
        elif not self.is_open_for_signup(request, sociallogin):
            words = _("Nobody is known here by this sign-on. Open the link of your invitation first.")
        elif not email:
            words = _("Your provider did not send an e-mail address, which an account needs.")
        else:
            return
        messages.error(request, words)
        raise ImmediateHttpResponse(redirect("account_login"))

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        """The person as the provider describes them; our accounts have one name, not two."""
        user: User = super().populate_user(request, sociallogin, data)
        user.name = str(data.get("name") or "")[:120]
        return user

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Always: whoever gets here has an invitation, and there is nothing left to ask."""
        return True
