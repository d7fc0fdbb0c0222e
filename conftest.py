"""Puts the repository's root on the import path and loads the plugin that brings the test servers."""

pytest_plugins = ["tests.embedded"]
