"""What no line of the product does, and what every public name has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, dotted, imported_names, parts, place, product_files, tree_of

NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "managers", "base", "mixins"}
CODE_FROM_DATA = {"eval", "exec", "compile", "__import__", "execfile"}
UNSAFE_MODULES = ("pickle", "cPickle", "shelve", "marshal", "dill", "cloudpickle", "yaml.load", "yaml.unsafe_load")
MARKUP_WITHOUT_ESCAPING = {
    "apps/core/drawings.py",  # attributes of drawings, all of them constants
}
SIGNAL_LISTENERS = {
    # Sign-ins happen inside django-allauth and Django, which say so by signals and nothing else.
    "apps/projects/sign_in_events.py",
}
LONG_FUNCTION = 50
SHARE_OF_LONG_FUNCTIONS = 0.03


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def _functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in product_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_never_runs_data_as_code() -> None:
    found = [
        place(path, call) for path in product_files() for call, name in _calls(tree_of(path)) if name in CODE_FROM_DATA
    ]
    found += [
        place(path, node)
        for path in product_files()
        for node, name in imported_names(tree_of(path))
        if name.startswith(UNSAFE_MODULES)
    ]
    assert not found


def test_escapes_everywhere_but_where_markup_is_made() -> None:
    found = [
        place(path, node)
        for path in product_files()
        for node, name in imported_names(tree_of(path))
        if name.split(".")[-1] in {"mark_safe", "SafeText"}
        and str(path.relative_to(ROOT)) not in MARKUP_WITHOUT_ESCAPING
    ]
    assert not found


def test_marks_only_constants_as_safe() -> None:
    found = [
        place(path, call)
        for path in product_files()
        for call, name in _calls(tree_of(path))
        if name.split(".")[-1] == "mark_safe" and not all(isinstance(argument, ast.Constant) for argument in call.args)
    ]
    assert not found


def test_takes_chance_from_secrets_alone() -> None:
    found = [
        f"{place(path, node)} {name}"
        for path in product_files()
        for node, name in imported_names(tree_of(path))
        if name.split(".")[0] == "random" or name == "uuid.uuid1"
    ]
    assert not found


def test_swallows_nothing() -> None:
    """`except Exception` stands at a boundary, where it records or raises; never around nothing."""
    found = []
    for path in product_files():
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            is_broad = node.type is None or dotted(node.type) in {"Exception", "BaseException"}
            records = any(isinstance(inner, ast.Raise | ast.Call) for part in node.body for inner in ast.walk(part))
            if node.type is None or (is_broad and not records):
                found.append(place(path, node))
    assert not found


def test_writes_where_the_write_is_seen() -> None:
    """No `save` or `delete` of our own on a model, and no signal as a business mechanism."""
    overridden = [
        place(path, node)
        for path in parts("models")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.name in {"save", "delete", "full_clean"}
    ]
    listening = [
        f"{place(path, node)} {name}"
        for path in product_files()
        for node, name in imported_names(tree_of(path))
        if (name.startswith("django.dispatch") or ".signals" in name)
        and str(path.relative_to(ROOT)) not in SIGNAL_LISTENERS
    ]
    assert not overridden
    assert not listening


def test_names_modules_after_what_they_hold() -> None:
    assert not [str(path) for path in product_files() if path.stem in NAMES_THAT_SAY_NOTHING]


@pytest.mark.parametrize("path", product_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_says_what_it_promises(path: Path) -> None:
    """A docstring on every module with code in it, and on every public function and class at its top level."""
    tree = tree_of(path)
    silent = [] if ast.get_docstring(tree) or not tree.body else [f"{path.relative_to(ROOT)}"]
    silent += [
        f"{place(path, node)} {node.name}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_keeps_functions_short() -> None:
    """Not more than three in a hundred over fifty lines; a table of cases may be one."""
    sizes = {
        f"{place(path, node)} {node.name}": (node.end_lineno or 0) - node.lineno + 1 for path, node in _functions()
    }
    too_long = {name: size for name, size in sizes.items() if size > LONG_FUNCTION}
    assert len(too_long) <= SHARE_OF_LONG_FUNCTIONS * len(sizes), too_long


def test_annotates_every_function_of_the_tests_too() -> None:
    bare = [
        place(path, node)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.returns is None
    ]
    assert not bare
