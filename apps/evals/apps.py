"""Registers the app."""

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.evals"
    label = "evals"
