"""Print what a single sign-on provider must be told about this installation."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse


class Command(BaseCommand):
    """`manage.py sign_on`"""

    help = "Print the redirect address to enter at the OpenID Connect provider. It depends on PRODWORTHY_OIDC_ISSUER."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the address; fail where single sign-on is off."""
        if not settings.SOCIALACCOUNT_PROVIDERS:
            raise CommandError("Single sign-on is off. Set PRODWORTHY_OIDC_ISSUER and PRODWORTHY_OIDC_CLIENT_ID.")
        (provider,) = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
        path = reverse("openid_connect_callback", kwargs={"provider_id": provider["provider_id"]})
        self.stdout.write(settings.PUBLIC_URL + path)
