"""Registers the app."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        """Let readiness ask whether somebody still rolls up, and the rail how much waits to be reviewed."""
        from apps.core import readiness, shell
        from apps.telemetry import health
        from apps.telemetry.selectors.review import count_waiting

        readiness.register("roll-ups", health.roll_ups)
        shell.count_on_rail("review", count_waiting)
