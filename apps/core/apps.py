"""Registers the app and makes task names known to every process."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class CoreConfig(AppConfig):
    """The lowest app."""

    name = "apps.core"
    label = "core"

    def ready(self) -> None:
        """Import every app's tasks, so that `jobs.enqueue` finds names in web processes too."""
        autodiscover_modules("tasks")
