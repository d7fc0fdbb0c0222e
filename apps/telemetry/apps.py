"""Registers the app."""

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.telemetry"
    label = "telemetry"
