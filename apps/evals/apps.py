"""Registers the app."""

from django.apps import AppConfig


class EvalsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.evals"
    label = "evals"

    def ready(self) -> None:
        """Let the keys of outside scorers be brought over to a new encryption key."""
        from apps.core import resealing
        from apps.evals.models import ScorerSecret

        resealing.register(resealing.column(ScorerSecret, "sealed_secret", lambda row: row.place))
