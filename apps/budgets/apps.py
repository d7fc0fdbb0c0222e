"""Registers the app."""

from django.apps import AppConfig


class BudgetsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.budgets"
    label = "budgets"

    def ready(self) -> None:
        """Let readiness ask whether somebody still evaluates the budgets."""
        from apps.budgets import health
        from apps.core import readiness

        readiness.register("budgets", health.evaluations)
