"""Registers the app."""

from django.apps import AppConfig


class PromptsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.prompts"
    label = "prompts"
