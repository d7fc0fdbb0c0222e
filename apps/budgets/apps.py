"""Registers the app."""

from django.apps import AppConfig


class BudgetsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.budgets"
    label = "budgets"
