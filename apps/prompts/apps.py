"""Registers the app."""

from django.apps import AppConfig


class PromptsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.prompts"
    label = "prompts"

    def ready(self) -> None:
        """Let the credentials of repositories be brought over to a new encryption key."""
        from apps.core import resealing
        from apps.prompts.models import GitRemote

        resealing.register(resealing.column(GitRemote, "sealed_secret", lambda row: row.place))
