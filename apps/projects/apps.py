"""Registers the app."""

from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """See the package's docstring."""

    name = "apps.projects"
    label = "projects"
