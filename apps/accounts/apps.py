"""Registers the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Let second factors be brought over to a new encryption key."""
        from apps.accounts import second_factors
        from apps.core import resealing

        resealing.register(second_factors.SEALED)
