"""Registers the app."""

from django.apps import AppConfig


class ProvidersConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.providers"
    label = "providers"

    def ready(self) -> None:
        """Let the keys of connections be brought over to a new encryption key."""
        from apps.core import resealing
        from apps.providers.models import Connection

        resealing.register(resealing.column(Connection, "sealed_secret", lambda row: row.place))
