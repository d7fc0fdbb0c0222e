"""Registers the app."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.alerts"
    label = "alerts"

    def ready(self) -> None:
        """Let the bell show how many notices are unread."""
        from apps.alerts.selectors.notices import unread_of
        from apps.core import shell

        shell.count_on_rail("notices", unread_of)
