"""`manage.py prices sync` reads a price file; `manage.py prices show MODEL` says what a model costs and
why."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.core.errors import DomainError
from apps.providers import price_file, selectors, services
from apps.providers.types import NO_ROW, SyncReport

SOME_LEFT_OUT = 3
BAD_SHOWN = 50


class Command(BaseCommand):
    """Prices of models. `sync` ends with 0; with 1 when the file was refused and nothing changed; with 3 when
    it was taken but entries of it had to be left out."""

    help = "Reads the price file, or shows what a model costs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`sync [--file PATH]` and `show MODEL [--provider P]`."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        sync = verbs.add_parser("sync", help="take the prices of LiteLLM's price file (the installed one, or PATH)")
        sync.add_argument("--file", type=Path, help="another price file of the same form, gzipped or not")
        show = verbs.add_parser("show", help="say what a model costs now")
        show.add_argument("model", help="the model as calls name it")
        show.add_argument("--provider", help="the provider as calls name it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb."""
        if options["verb"] == "sync":
            self._sync(options["file"])
        else:
            self._show(options["provider"], options["model"])

    def _sync(self, path: Path | None) -> None:
        try:
            source = price_file.installed_file() if path is None else price_file.Source(path, str(path.name), "")
            content = price_file.read(source.path)
            report = services.sync_prices(content=content, source=source.name, version=source.version, now=clock.now())
        except (price_file.PriceFileError, DomainError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_sentence(report, f"{source.name} {source.version}".strip()))
        for bad in report.skipped[:BAD_SHOWN]:
            self.stderr.write(f"left out: {bad.model}: {bad.reason}")
        if len(report.skipped) > BAD_SHOWN:
            self.stderr.write(f"left out: {len(report.skipped) - BAD_SHOWN} more")
        stale = selectors.stale_prices(now=clock.now())
        if stale is not None:
            self.stderr.write(
                f"This price file has been the same for {stale.days} days. Upgrade litellm, or name a newer file with"
                " --file: models that came since have no price, and their calls no cost."
            )
        # Whoever calls this from code reads the lines above; only a shell needs the number.
        if report.skipped and getattr(self, "_called_from_command_line", False):
            sys.exit(SOME_LEFT_OUT)

    def _show(self, provider: str | None, model: str) -> None:
        priced = selectors.price_book.price_for(selectors.NO_PROJECT, provider, model, clock.now())
        if priced is None:
            raise CommandError(f"{model} has no price. Look for its listed name in the price book, or set your own.")
        if priced.price_id == NO_ROW:
            self.stdout.write("The test model is free.")
            return
        price = selectors.get_price(priced.price_id)
        self.stdout.write(f"{price.model} ({price.provider}), from {price.starts_on}, dollars per million tokens:")
        self.stdout.write(json.dumps(price.rates, indent=2))


def _sentence(report: SyncReport, name: str) -> str:
    same = report.models - report.added - report.changed
    return (
        f"{name}: {report.models:,} models: {report.added:,} new, {report.changed:,} changed, {same:,} as before."
        f" {report.unpriced:,} of them are listed without a price by tokens; {report.not_by_token:,} for images, speech"
        f" and the like were not read; {len(report.skipped):,} entries were left out."
    )
