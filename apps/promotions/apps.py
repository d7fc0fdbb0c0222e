"""Registers the app."""

from django.apps import AppConfig


class PromotionsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.promotions"
    label = "promotions"

    def ready(self) -> None:
        """Let the rail show how many promotions wait for whoever looks."""
        from apps.core import shell
        from apps.promotions.selectors.promotions import waiting_for

        shell.count_on_rail("promotions", waiting_for)
