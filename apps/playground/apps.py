"""Registers the app."""

from django.apps import AppConfig


class PlaygroundConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.playground"
    label = "playground"
