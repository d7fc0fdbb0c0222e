"""Every model has its migration, and migrations stand on their own."""

from __future__ import annotations

import re

import pytest
from django.core.management import call_command

from tests.architecture.sources import APPS, ROOT, imported_names, place, tree_of

MIGRATIONS = [
    path
    for app in APPS
    for path in sorted((ROOT / "apps" / app / "migrations").glob("*.py"))
    if path.name != "__init__.py"
]


@pytest.mark.django_db
def test_has_a_migration_for_every_change_of_a_model() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=1)


def test_names_migrations_in_words() -> None:
    unnamed = [
        path.name for path in MIGRATIONS if not re.fullmatch(r"\d{4}_[a-z0-9_]+", path.stem) or "_auto_" in path.stem
    ]
    assert MIGRATIONS
    assert not unnamed


def test_keeps_the_product_out_of_migrations() -> None:
    """They run years later, against other code. Only the clock and the user model's manager may be referred to."""
    allowed = ("apps.core.clock", "apps.accounts.models")
    found = [
        f"{place(path, node)} {name}"
        for path in MIGRATIONS
        for node, name in imported_names(tree_of(path))
        if name.startswith("apps.") and not name.startswith(allowed)
    ]
    assert not found
