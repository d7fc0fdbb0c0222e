"""Registers the app."""

from django.apps import AppConfig


class PromotionsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.promotions"
    label = "promotions"

    def ready(self) -> None:
        """Let the rail show how many promotions wait for whoever looks, and the bell how many notices are unread."""
        from apps.core import shell
        from apps.promotions.selectors.notices import unread_of
        from apps.promotions.selectors.promotions import waiting_for

        shell.count_on_rail("promotions", waiting_for)
        shell.count_on_rail("notices", unread_of)
