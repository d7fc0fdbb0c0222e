"""Registers the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.accounts"
    label = "accounts"
