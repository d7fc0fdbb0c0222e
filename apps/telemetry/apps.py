"""Registers the app."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.telemetry"
    label = "telemetry"

    def ready(self) -> None:
        """Let readiness ask whether somebody still rolls up, and the rail how much waits to be reviewed; let sealed ids
        of users be brought over to a new encryption key."""
        from apps.core import readiness, resealing, shell
        from apps.telemetry import health
        from apps.telemetry.models import Erasure
        from apps.telemetry.selectors.review import waiting_items
        from apps.telemetry.services.erasing import place_of

        readiness.register("roll-ups", health.roll_ups)
        shell.count_on_rail("review", waiting_items)
        resealing.register(resealing.column(Erasure, "sealed_user", place_of))
