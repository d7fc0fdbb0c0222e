"""Registers the app."""

from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.providers"
    label = "providers"
