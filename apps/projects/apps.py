"""Registers the app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.projects"
    label = "projects"

    def ready(self) -> None:
        """Listen to sign-ins, for the audit trail."""
        from apps.projects import sign_in_events

        sign_in_events.connect()
