"""Doors translate: they hold no query. Services and selectors work: they know no HTTP."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, dotted, imported_names, parts, place, tree_of

DOORS = [path for name in ("views", "api", "tasks", "doors") for path in parts(name)]
WORK = [path for name in ("services", "selectors", "models") for path in parts(name)]
DATABASE = ("django.db", "psycopg", "apps.core.db")
MANAGERS = {"objects", "_default_manager", "_base_manager"}
WEB = ("django.http", "django.shortcuts", "django.template.response", "django.urls", "django.contrib.messages")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT / "apps"))


def _queries(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        asks_a_manager = isinstance(node, ast.Attribute) and node.attr in MANAGERS
        called = dotted(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
        if asks_a_manager or called in {"cursor", "raw", "get_object_or_404", "get_list_or_404"}:
            yield node


@pytest.mark.parametrize("path", DOORS, ids=_name)
def test_keeps_queries_out_of_doors(path: Path) -> None:
    tree = tree_of(path)
    found = [place(path, node) for node in _queries(tree)]
    # To answer an error of the database is a door's work, and to give its connection back; to query is not.
    found += [
        f"{place(path, node)} {name}"
        for node, name in imported_names(tree)
        if name.startswith(DATABASE) and not name.endswith(("Error", "close_old_connections"))
    ]
    assert not found, "selectors read, services write"


@pytest.mark.parametrize("path", WORK, ids=_name)
def test_keeps_http_out_of_services_selectors_and_models(path: Path) -> None:
    found = [f"{place(path, node)} {name}" for node, name in imported_names(tree_of(path)) if name.startswith(WEB)]
    assert not found


@pytest.mark.parametrize("path", [*parts("services"), *parts("selectors")], ids=_name)
def test_passes_the_time_in(path: Path) -> None:
    """No default for `now`: a boundary that depends on the wall clock cannot be tested."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            named = [*node.args.posonlyargs, *node.args.args]
            defaults = [None] * (len(named) - len(node.args.defaults)) + list(node.args.defaults)
            pairs = [*zip(named, defaults, strict=True), *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
            found += [place(path, node) for argument, default in pairs if argument.arg == "now" and default is not None]
    assert not found


def test_looks_at_every_kind_of_door() -> None:
    kinds = {path.relative_to(ROOT / "apps").parts[1].removesuffix(".py") for path in DOORS}
    assert kinds >= {"views", "api", "tasks", "doors"}


def test_would_notice_a_query() -> None:
    planted = ast.parse(
        "def view(request):\n    Span.objects.all()\n    connection.cursor()\n    Span.objects.raw('x')\n"
    )
    assert len(list(_queries(planted))) == 4
