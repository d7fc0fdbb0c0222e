"""Plotly's script, found inside the package that brings it; no third-party file is kept in this repository."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage


class PlotlyFinder(BaseFinder):
    """Offers the script of the plotly package as `vendor/plotly.min.js`, and nothing else of it."""

    NAME = "vendor/plotly.min.js"
    SOURCE = "plotly.min.js"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.storage = FileSystemStorage(location=str(files("plotly") / "package_data"))
        self.storage.prefix = "vendor"  # type: ignore[attr-defined]

    def check(self, **kwargs: Any) -> list[Any]:
        """Nothing about this finder can be set wrongly."""
        return []

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        """Where the script lies; None (or an empty list) for any other name."""
        place = self.storage.path(self.SOURCE) if path == self.NAME else None
        if find_all:
            return [place] if place else []
        return place

    def list(self, ignore_patterns: Any) -> Iterator[Any]:
        """The one file and the storage that holds it."""
        yield self.SOURCE, self.storage
