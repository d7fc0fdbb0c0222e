"""Registers the app."""

from django.apps import AppConfig


class DashboardsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.dashboards"
    label = "dashboards"
