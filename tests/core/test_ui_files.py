"""Styles and scripts as files: one place for colors, names that exist, nothing that runs text as code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted([*ROOT.glob("templates/**/*.html"), *ROOT.glob("apps/**/templates/**/*.html")])
STYLES = sorted(ROOT.glob("static/css/*.css"))
SCRIPTS = sorted(ROOT.glob("static/js/*.js"))
COLOR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch)a?\(")


def name(file: Path) -> str:
    """The file's place in the repository."""
    return str(file.relative_to(ROOT))


def without_comments(css: str) -> str:
    """The rules alone."""
    return re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)


@pytest.mark.parametrize("file", [file for file in STYLES if file.name != "tokens.css"], ids=name)
def test_names_no_color_outside_the_tokens(file: Path) -> None:
    assert not COLOR.search(without_comments(file.read_text()))


@pytest.mark.parametrize("file", STYLES, ids=name)
def test_uses_only_tokens_that_exist(file: Path) -> None:
    declared = set(re.findall(r"(--[a-z0-9-]+):", (ROOT / "static/css/tokens.css").read_text()))
    assert set(re.findall(r"var\((--[a-z0-9-]+)", file.read_text())) <= declared


# The API reference overrides a style sheet of somebody else's, which is in no layer.
@pytest.mark.parametrize("file", [file for file in STYLES if file.name != "api_docs.css"], ids=name)
def test_puts_every_rule_into_a_layer(file: Path) -> None:
    rest = without_comments(file.read_text()).strip()
    depth = 0
    for line in rest.splitlines():
        if depth == 0 and line.strip():
            assert line.startswith("@layer"), line
        depth += line.count("{") - line.count("}")
    assert depth == 0


@pytest.mark.parametrize("file", SCRIPTS, ids=name)
def test_runs_no_text_as_code(file: Path) -> None:
    source = file.read_text()
    assert '"use strict"' in source
    assert not re.search(r"\beval\(|new Function|setTimeout\(\s*[\"'`]|document\.write", source)


@pytest.mark.parametrize("file", [file for file in TEMPLATES if file.name.startswith("_")], ids=name)
def test_gives_a_fragment_no_page_around_it(file: Path) -> None:
    assert "{% extends" not in file.read_text()
