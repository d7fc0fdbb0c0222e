"""Registers the app."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        """Let readiness ask whether somebody still rolls up."""
        from apps.core import readiness
        from apps.telemetry import health

        readiness.register("roll-ups", health.roll_ups)
